import re

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms.functional import normalize

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.params import ArchitectureParams, PretrainedParams
from s10_pipeline.vision.network.pretrained import IMAGENET_MEAN, IMAGENET_STD
from s10_pipeline.vision.training.model import build_classifier


@pytest.fixture
def build(data, tiny):
    def build(path, **architecture):
        architecture = ArchitectureParams.model_validate({"depth": 18, **architecture})
        update = {"architecture": architecture, "pretrained": PretrainedParams(path=str(path))}
        return build_classifier(data.train_images, data.train_set, tiny.model_copy(update=update))

    return build


def resnet(depth=18, num_classes=10, **changes):
    return getattr(torchvision.models, f"resnet{depth}")(num_classes=num_classes).state_dict() | changes


@pytest.mark.filterwarnings("ignore:.torch.jit.:FutureWarning")  # timm's
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_network_computes_what_the_file_came_from_does(build, tmp_path, library, depth):
    torch.manual_seed(depth)
    models = torchvision.models if library == "torchvision" else pytest.importorskip("timm").models
    network = getattr(models, f"resnet{depth}")(num_classes=10).eval()
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_var.uniform_(0.5, 1)
        norm.running_mean.normal_(0, 0.1)
    save, name = (save_file, "weights.safetensors") if depth == 34 else (torch.save, "weights.pth")
    save(network.state_dict(), tmp_path / name)
    model = build(tmp_path / name, depth=depth).eval()
    assert (model.spec.mean, model.spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    inputs = normalize(images / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), network(inputs), rtol=1e-4, atol=1e-4)
        mine, theirs = (n.double()(inputs.double()) for n in (model.network, network))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("changes", [{"num_classes": 1000}, {}])
def test_a_head_of_another_number_of_classes_or_none_is_replaced(build, tmp_path, changes):
    weights = {name: t for name, t in resnet(**changes).items() if changes or not name.startswith("fc.")}
    torch.save(weights, tmp_path / "weights.pth")
    assert build(tmp_path / "weights.pth").network.head.weight.shape == (10, 512)


RAN = []  # by unpickling


class Code:
    def __reduce__(self):
        return RAN.append, (1,)


MISFITS = [
    (lambda: resnet(50), "a ResNet of depth 50, not 18; set train.architecture.depth=50"),
    # timm's resnet18d has a stem of three convolutions
    (lambda: resnet(**{"conv1.0.weight": torch.zeros(32, 3, 3, 3)}), "unknown weights conv1.0.weight .*; use a ResNet"),
    (lambda: {"blocks.\x1b[2J": torch.zeros(1)}, r"unknown weights blocks.\\x1b\[2J .*; use a ResNet-18, 34"),
    (lambda: resnet(**{"conv1.weight": torch.zeros(64, 3, 3, 3)}), "conv1.weight is 64x3x3x3 instead of 64x3x7x7; set"),
    (lambda: resnet(**{"bn1.running_var": torch.full((64,), torch.nan)}), "bn1.running_var is not finite; restore"),
    (lambda: {"epoch": 3, "state_dict": resnet()}, "contains something other than a state dict; give"),
    (lambda: {"conv1.weight": Code()}, "damaged, or contains code, which was not run; give"),
    (lambda: b"PK\x03\x04 junk", "damaged, or contains code, which was not run; give"),
]


@pytest.mark.parametrize(("make", "message"), MISFITS)
def test_a_file_that_does_not_fit_is_one_line(build, tmp_path, make, message):
    path, content = tmp_path / "weights.pth", make()
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    line = rf"^train.pretrained.path={re.escape(str(path))}: {message}[^\n\x1b]*$"
    with pytest.raises(UserError, match=line):
        build(path)
    assert not RAN
