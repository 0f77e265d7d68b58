import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.params import BASIC_BLOCKS, ArchitectureParams, check_stage, stage_names
from s10_pipeline.vision.network.resnet import BasicBlock, Bottleneck, ResNet


def build(num_classes: int = 10, **params) -> ResNet:
    return ResNet(ArchitectureParams.model_validate({"stem": "cifar", **params}), num_classes)


def num_weights(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_known_numbers_of_weights():
    # ResNet-18 with a CIFAR stem: 11,173,962 weights (kuangliu/pytorch-cifar)
    assert num_weights(build(depth=18, width=64)) == 11_173_962
    # He et al. 2015, table 6: ResNet-20, -32 and -56 have 0.27, 0.46 and 0.85 million weights
    for depth, millions in ((20, 0.27), (32, 0.46), (56, 0.85)):
        assert num_weights(build(depth=depth, width=16)) / 1e6 == pytest.approx(millions, abs=0.01)
    # torchvision's resnet50 with 1000 classes
    assert num_weights(build(1000, depth=50, width=64, stem="imagenet")) == 25_557_032


@pytest.mark.parametrize(("depth", "num_stages"), [(8, 3), (56, 3), (10, 4), (18, 4), (50, 4)])
def test_stages_are_known_without_a_network(depth, num_stages):
    names = [name for name, _ in build(depth=depth, width=1).named_children() if name.startswith("layer")]
    assert list(stage_names(depth)) == names == [f"layer{i}" for i in range(1, num_stages + 1)]
    check_stage(names[-1], depth)
    if num_stages == 3:
        with pytest.raises(UserError, match=f"explain.layer=layer4: a network of depth {depth} has layer1, layer2, la"):
            check_stage("layer4", depth)


@pytest.mark.parametrize(("stem", "expected"), [("cifar", [32, 16, 8, 4]), ("whitened", [16, 8, 4, 2])])
def test_resolution_of_the_stages(stem, expected):
    network = build(depth=18, width=4, stem=stem)
    sizes = {}
    for name in network.stage_names:
        getattr(network, name).register_forward_hook(lambda _m, _i, out, name=name: sizes.update({name: out.shape[-1]}))
    network(torch.randn(1, 3, 32, 32))
    assert list(sizes.values()) == expected


def test_depth_counts_weighted_layers():
    for depth in BASIC_BLOCKS:
        network = build(depth=depth, width=2)
        weighted = [n for n, m in network.named_modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
        assert sum("shortcut" not in name for name in weighted) == depth


def test_dropout_and_zero_init():
    network = build(depth=10, width=4, dropout=0.1, stem_dropout=0.05, zero_init_residual=True)
    rates = sorted(m.p for m in network.modules() if isinstance(m, torch.nn.Dropout2d))
    assert rates == [0.05, 0.1, 0.1, 0.1, 0.1]
    assert all((m.norm2.weight == 0).all() for m in network.modules() if isinstance(m, BasicBlock))
    network = build(depth=50, width=1, zero_init_residual=True)
    assert all((m.norm3.weight == 0).all() for m in network.modules() if isinstance(m, Bottleneck))
    assert not any(isinstance(m, torch.nn.Dropout2d) for m in build(depth=10, width=4).modules())
