import re

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.network.params import PretrainedParams
from s10_pipeline.vision.network.pretrained import IMAGENET_MEAN, IMAGENET_STD
from s10_pipeline.vision.training.model import build_classifier


def of_torchvision(depth: int, num_classes: int) -> nn.Module:
    return getattr(torchvision.models, f"resnet{depth}")(num_classes=num_classes)


def of_timm(depth: int, num_classes: int) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    return timm.create_model(f"resnet{depth}", num_classes=num_classes)


def foreign(make, depth: int, num_classes: int = 10) -> nn.Module:
    """A network of another library with random weights, BatchNorm's moved from where they start."""
    torch.manual_seed(depth)
    network = make(depth, num_classes).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.0)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.1)
    return network


@pytest.fixture
def build(data, tiny):
    """Builds the classifier of ``data`` for a weights file."""

    def build(path, freeze=False, **architecture):
        wanted = {"depth": 18, "width": 64, "stem": "auto", **architecture}
        pretrained = PretrainedParams(path=str(path), freeze=freeze)
        update = {"architecture": tiny.architecture.model_copy(update=wanted), "pretrained": pretrained}
        return build_classifier(data.train_images, data.train_set, tiny.model_copy(update=update))

    return build


@pytest.mark.filterwarnings("ignore:.torch.jit.:FutureWarning")  # timm's
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
@pytest.mark.parametrize("make", [of_torchvision, of_timm])
def test_the_network_computes_what_the_file_came_from_does(build, tmp_path, make, depth):
    network = foreign(make, depth)
    if depth == 34:
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
    else:
        torch.save(network.state_dict(), tmp_path / "weights.pth")
    (path,) = tmp_path.iterdir()
    model = build(path, depth=depth).eval()
    assert (model.spec.mean, model.spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = (images / 255 - mean) / std
    with torch.inference_mode():
        torch.testing.assert_close(model(images), network(inputs), rtol=1e-4, atol=1e-4)
        mine, theirs = (n.double()(inputs.double()) for n in (model.network, network))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_model_of_this_project_brings_its_normalisation_stem_and_head(build, data, make_model, tmp_path):
    same, other = (make_model(names, stem="whitened") for names in (data.train_images.class_names, tuple("ABCDEFGHIJ")))
    for model, same_head in ((same, True), (other, False)):
        with torch.no_grad():
            for tensor in (model.network.stem[0].weight, *model.network.head.parameters()):
                tensor.fill_(0.25)
        path = tmp_path / "model.safetensors"
        path.write_bytes(classifier_to_bytes(model))
        built = build(path, depth=8, width=4)
        assert (built.spec.mean, built.spec.std) == (model.spec.mean, model.spec.std)
        assert built.spec.class_names == data.train_images.class_names
        for name, tensor in model.state_dict().items():
            kept = "num_batches" in name or torch.equal(tensor, built.state_dict()[name])
            assert kept == (same_head or ".head." not in name), name


@pytest.mark.parametrize("with_head", [True, False])
def test_a_head_of_other_classes_is_replaced_by_the_seeds(build, tmp_path, with_head):
    weights = foreign(of_torchvision, 18, 1000).state_dict()
    if not with_head:
        weights = {name: t for name, t in weights.items() if not name.startswith("fc.")}
    torch.save(weights, tmp_path / "weights.pth")
    first, second = (build(tmp_path / "weights.pth").network.head.weight for _ in range(2))
    assert first.shape == (10, 512)
    assert torch.equal(first, second)


def test_frozen_weights_stay_in_evaluation_mode_without_gradients(build, tmp_path):
    torch.save(foreign(of_torchvision, 18).state_dict(), tmp_path / "weights.pth")
    model = build(tmp_path / "weights.pth", freeze=True).train()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        "network.head.weight",
        "network.head.bias",
    }
    assert {name for name, m in model.network.named_children() if m.training} == {"head"}
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert not any(m.training for m in model.eval().modules())


RAN = []


class Code:
    """Unpickled, it would run code."""

    def __reduce__(self):
        return RAN.append, (1,)


class Resnet18d(nn.Sequential):
    """timm's: a stem of three convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32))


def resnet(depth=18, **changes):
    """torchvision's weights, of which some are others."""
    return of_torchvision(depth, 10).state_dict() | changes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resnet(34), "a ResNet of depth 34, not 18; set train.architecture.depth=34"),
        (lambda: resnet(50), "a ResNet of depth 50, not 18; set train.architecture.depth=50"),
        (lambda: resnet(152), "unknown weights .*; take a ResNet-18, 34, 50 or 101"),
        (lambda: resnet(**Resnet18d().state_dict()), "unknown weights conv1.0.bias .*; take a ResNet-18, 34"),
        (lambda: {"blocks.0.\x1b[2J": torch.zeros(1)}, r"unknown weights blocks.0.\\x1b\[2J .*; take a ResNet-18, 34"),
        (lambda: {}, "missing weights bn1.bias .*; take a ResNet-18"),
        (lambda: resnet(**{"conv1.weight": torch.zeros(64, 3, 3, 3)}), "conv1.weight is 64x3x3x3 instead of 64x3x7x7;"),
        (lambda: resnet(**{"fc.weight": torch.zeros(10, 3)}), "fc.weight is 10x3 instead of 10x512; set train.arch"),
        (lambda: resnet(**{"bn1.running_var": torch.full((64,), torch.nan)}), "bn1.running_var is not finite; restore"),
        (lambda: {"epoch": 3, "state_dict": resnet()}, "holds more than a state dict; give"),
        (lambda: {3: torch.zeros(1)}, "holds more than a state dict; give"),
        (lambda: torch.zeros(1), "holds more than a state dict; give"),
        (lambda: {"conv1.weight": Code()}, "damaged, or holds code, which did not run; give"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(build, tmp_path, make, message):
    torch.save(make(), tmp_path / "weights.pth")
    line = rf"^train.pretrained.path={re.escape(str(tmp_path))}/weights.pth: {message}[^\n\x1b]*$"
    with pytest.raises(UserError, match=line):
        build(tmp_path / "weights.pth")
    assert not RAN


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pth", None, "No such file or directory; give a .safetensors file, or"),
        ("junk.pth", b"PK\x03\x04 junk", "damaged, or holds code"),
        ("junk.safetensors", b"junk", ".*; give a .safetensors file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(build, tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"^train.pretrained.path=.*{name}: {message}[^\n]*$"):
        build(tmp_path / name)
