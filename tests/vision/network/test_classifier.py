import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes, load_classifier, resolve_stem
from s10_pipeline.vision.network.params import ArchitectureParams


@pytest.fixture
def saved(classifier, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier_to_bytes(classifier))
    return path


def test_a_stored_model_is_the_same_model(classifier, saved, data):
    images = torch.from_numpy(data.test_images.images_nhwc[:8].copy()).permute(0, 3, 1, 2)
    loaded = load_classifier(saved)
    assert loaded.spec == classifier.spec
    assert not loaded.training
    assert torch.equal(loaded(images), classifier.eval()(images))
    assert classifier_to_bytes(loaded) == saved.read_bytes()


def test_normalisation_is_inside(classifier):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (classifier.spec.mean, classifier.spec.std))
    by_hand = classifier.network((images.float() - mean) / std)
    torch.testing.assert_close(classifier(images), by_hand)
    torch.testing.assert_close(classifier(images), classifier(images.float()))


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "no metadata"])
def test_a_damaged_file_is_one_line(saved, damage):
    content = saved.read_bytes()
    if damage == "no metadata":
        content = save({"x": torch.zeros(1)})
    saved.write_bytes({"cut": content[: len(content) // 2], "other": b"PK" * 100, "empty": b""}.get(damage, content))
    with pytest.raises(UserError, match=r"model.safetensors: not a model of this project .*; train one") as caught:
        load_classifier(saved)
    assert "\n" not in str(caught.value)


def rewritten(path, **changes):
    """The file with other entries in what it says besides weights."""
    with safe_open(path, framework="pt") as file:
        spec = json.loads(file.metadata()["spec"]) | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    path.write_bytes(save(tensors, metadata={"spec": json.dumps(spec)}))
    return path


def test_a_file_with_the_temperature_that_earlier_ones_left_empty_is_read(classifier, saved):
    assert "temperature" not in classifier_to_bytes(classifier).decode(errors="ignore")
    assert load_classifier(rewritten(saved, temperature=None)).spec == classifier.spec
    # probabilities by another rule than this version's are not given for its own
    with pytest.raises(UserError, match=r"not a model of this project .*temperature"):
        load_classifier(rewritten(saved, temperature=1.5))


@pytest.mark.parametrize("architecture", [{"depth": 9}, {"depth": 8, "attention": True}])
def test_a_network_that_this_version_does_not_know_is_one_line(saved, architecture):
    with pytest.raises(UserError, match=r"not a model of this project \(.*(depth|attention)"):
        load_classifier(rewritten(saved, architecture=architecture))


def test_another_format_is_told_as_such(saved):
    with pytest.raises(UserError, match="model format s10_pipeline.classifier/9; this version reads"):
        load_classifier(rewritten(saved, format="s10_pipeline.classifier/9"))


def test_the_block_that_grad_cam_looks_at(classifier):
    assert classifier.last_block("layer3") is classifier.network.layer3[-1]
    with pytest.raises(UserError, match="explain.layer=layer4: the stored model has layer1, layer2, layer3"):
        classifier.last_block("layer4")


def test_the_stem_follows_the_size():
    params = ArchitectureParams()
    assert [resolve_stem(params, (s, s)).stem for s in (32, 64, 96, 224)] == ["cifar", "cifar", "imagenet", "imagenet"]
    assert resolve_stem(ArchitectureParams(stem="cifar"), (224, 224)).stem == "cifar"
