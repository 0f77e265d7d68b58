import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch.nn import Conv2d

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes, load_classifier, resolve_stem
from s10_pipeline.vision.network.params import ArchitectureParams
from s10_pipeline.vision.training.model import build_classifier


@pytest.fixture
def saved(classifier, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier_to_bytes(classifier))
    return path


def test_a_stored_model_is_the_same_model(classifier, saved, data):
    images = torch.from_numpy(data.test_images.images_nhwc[:8].copy()).permute(0, 3, 1, 2)
    loaded = load_classifier(saved)
    assert loaded.spec == classifier.spec and not loaded.training
    assert torch.equal(loaded(images), classifier.eval()(images))
    assert classifier_to_bytes(loaded) == saved.read_bytes()


def test_normalisation_is_inside(classifier):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (classifier.spec.mean, classifier.spec.std))
    by_hand = classifier.network((images.float() - mean) / std)
    torch.testing.assert_close(classifier(images), by_hand)
    torch.testing.assert_close(classifier(images), classifier(images.float()))


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda _: b"PK" * 100, lambda _: b""])
def test_a_damaged_file_is_one_line(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(UserError, match=r"model.safetensors: .*; train one") as caught:
        load_classifier(saved)
    assert "\n" not in str(caught.value)


def rewritten(path, without="", **changes):
    """The file with other entries in what it says besides weights, or without one."""
    with safe_open(path, framework="pt") as file:
        spec = json.loads(file.metadata()["spec"]) | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    spec.pop(without, None)
    path.write_bytes(save(tensors, metadata={"spec": json.dumps(spec)}))
    return path


def test_a_file_without_drawn_is_of_photographs(classifier, saved):
    assert classifier.spec.drawn and not load_classifier(rewritten(saved, without="drawn")).spec.drawn


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": {"depth": 9}}, "architecture.depth"),
        ({"architecture": {"depth": 8, "attention": True}}, "architecture.attention"),
        ({"architecture": {"depth": 8, "width": 4, "stem": "auto"}}, "architecture: .*stem"),
        ({"architecture": {"depth": 101, "width": 1024, "stem": "cifar"}}, "weights do not fit its architecture"),
        ({"std": [60.0, 0.0, 60.0]}, "std.1"),
        ({"std": [60.0, 1e-40, 60.0]}, "std.1"),
        ({"std": [60.0, 60.0, float("nan")]}, "NaN|expected"),
        ({"mean": [-1.0, 60.0, 60.0]}, "mean.0"),
        ({"class_names": [str(k // 2) for k in range(10)]}, "two classes have the same name"),
        ({"class_names": ["a", "b"]}, "weights do not fit"),
        ({"class_names": [{}] * 10}, "class_names.0"),
        ({"class_names": ["x" * 2000, *"abcdefghi"]}, "class_names.0"),
        ({"resize": {"image_size": [20_000, 20_000]}}, "resize.image_size.0"),
        ({"resize": {"image_size": [32, 64]}}, "resize.image_size: .*square"),
        ({"resize": {"image_size": [32, 32], "interpolation": "bilinear"}}, "resize.interpolation: .*'bicubic'"),
        ({"resize": {"image_size": [32, 32], "rule": "stretched"}}, "resize.rule"),
        ({"title": "x" * 2**20}, "title"),
        ({"drawn": "perhaps"}, "drawn"),
        ({"owner": "somebody"}, "owner"),
        # probabilities by another rule than this version's are not given for its own
        ({"temperature": 1.5}, "temperature"),
        ({"format": "s10_pipeline.classifier/9"}, "model format s10_pipeline.classifier/9; this version reads"),
    ],
)
def test_what_a_foreign_file_says_is_bounded(saved, changes, reason):
    with pytest.raises(UserError, match=rf"model.safetensors: not a model of this project \(.*({reason})") as caught:
        load_classifier(rewritten(saved, **changes))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [None, "", "[]", "null", "7", "[" * 100_000, '{"format": "\\ud800"}'])
def test_metadata_that_describes_nothing(saved, text):
    saved.write_bytes(save({"x": torch.zeros(1)}, metadata=None if text is None else {"spec": text}))
    with pytest.raises(UserError, match="not a model of this project"):
        load_classifier(saved)


@pytest.mark.parametrize(("name", "value"), [("head.weight", np.nan), ("layer1.0.norm1.running_var", -np.inf)])
def test_weights_that_are_not_finite(saved, value, name):
    with safe_open(saved, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        metadata = file.metadata()
    tensors[f"network.{name}"].view(-1)[0] = value
    saved.write_bytes(save(tensors, metadata=metadata))
    with pytest.raises(UserError, match="weights are NaN or infinite"):
        load_classifier(saved)


@pytest.mark.parametrize(("name", "value"), [("head.bias", 1e38), ("layer1.0.norm1.running_var", -1.0)])
def test_outputs_that_are_not_finite_are_no_prediction(classifier, name, value):
    with torch.no_grad():
        classifier.network.state_dict()[name].fill_(value)
        if name == "head.bias":
            classifier.network.head.weight.fill_(1e38)
    with pytest.raises(UserError, match="outputs are NaN or infinite"):
        classifier.eval().probabilities(torch.full((2, 3, 32, 32), 255, dtype=torch.uint8))


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not a regular file"):
        load_classifier(tmp_path / "model.safetensors")


@pytest.mark.parametrize("fails", [False, True])
def test_probabilities_are_computed_in_fp32_and_not_in_tf32(classifier, fails):
    """What a GPU would do with convolutions; these are settings of torch, whatever the device."""
    before, seen = torch.backends.cudnn.conv.fp32_precision, []

    def look(*_):
        seen.append(torch.backends.cudnn.conv.fp32_precision)
        if fails:
            raise IndexError("inside")

    classifier.network.head.register_forward_pre_hook(look)
    with pytest.raises(IndexError, match="inside") if fails else contextlib.nullcontext():
        classifier.eval().probabilities(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert seen == ["ieee"] and torch.backends.cudnn.conv.fp32_precision == before
    assert torch.backends.cudnn.allow_tf32, "training goes on as fast as before"


@pytest.mark.parametrize(("width", "layout"), [(15, torch.contiguous_format), (16, torch.channels_last)])
def test_narrow_networks_keep_the_plain_layout(data, tiny, width, layout):
    architecture = tiny.architecture.model_copy(update={"width": width})
    params = tiny.model_copy(update={"architecture": architecture})
    model = build_classifier(data.train_images, data.train_set, params)
    assert all(conv.weight.is_contiguous(memory_format=layout) for conv in model.modules() if isinstance(conv, Conv2d))
    seen = []
    model.network.layer2.register_forward_hook(lambda *call: seen.append(call[-1].is_contiguous(memory_format=layout)))
    model(torch.zeros(3, 3, 32, 32, dtype=torch.uint8))
    assert seen == [True]


NARROW_AND_ODD = """
import torch
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec

torch.set_num_threads(2)
architecture = {"depth": 8, "width": 12, "stem": "cifar"}
spec = ClassifierSpec(architecture, ("a", "b"), (0.0,) * 3, (255.0,) * 3, {"image_size": [32, 32]})
for batch_size in (3, 5, 7):
    model = Classifier(spec)
    for _ in range(2):
        model(torch.zeros(batch_size, 3, 32, 32, dtype=torch.uint8)).sum().backward()
"""


def test_narrow_networks_survive_odd_batches():
    # memory was corrupted: it takes a process of its own to see that
    done = subprocess.run([sys.executable, "-c", NARROW_AND_ODD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_stem_follows_the_size():
    params = ArchitectureParams()
    assert [resolve_stem(params, (s, s)).stem for s in (32, 64, 96, 224)] == ["cifar", "cifar", "imagenet", "imagenet"]
    assert resolve_stem(ArchitectureParams(stem="cifar"), (224, 224)).stem == "cifar"
