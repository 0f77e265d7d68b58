"""What tests share: drawn images, sets and parameters small enough for seconds; a headless browser.

Imports no more than the core needs, so that tests marked gpu run where little else is installed.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

# before any import that would ask the network for news
os.environ["DO_NOT_TRACK"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
# tiny networks gain nothing from threads, and lose much where tests share the machine
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import pytest
import torch

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.params import AugmentParams, IngestParams
from s10_pipeline.vision.data.resize import describe_rule
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.data.split import Split, build_sets
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec, classifier_to_bytes
from s10_pipeline.vision.network.params import PretrainedParams
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.model import build_classifier
from s10_pipeline.vision.training.params import TrainParams

if TYPE_CHECKING:
    from browser import Browser

torch.set_num_threads(1)  # where torch was imported before

ROOT = Path(__file__).parents[1]

AUGMENT = AugmentParams.model_validate(
    {"train": [{"PaddedRandomCrop": {"padding": 0.125}}, {"HorizontalFlip": {"p": 0.5}}, {"Cutout": {"size": 0.4}}]}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files first that have the most slow tests among theirs: last, one process would wait for another."""
    slow: dict[Path, list[bool]] = {}
    for item in items:
        slow.setdefault(item.path, []).append(item.get_closest_marker("slow") is not None)
    items.sort(key=lambda item: -sum(slow[item.path]) / len(slow[item.path]))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shapes() -> tuple[ImageSet, ImageSet]:
    """400 training and 120 test images of 32 pixels."""
    drawn = {"num_train_images": 400, "num_test_images": 120}
    return read_source(IngestParams.model_validate({"source": "shapes10", "shapes10": drawn}))


@pytest.fixture(scope="session")
def sets(shapes: tuple[ImageSet, ImageSet]) -> tuple[Split, Split, Split]:
    """Training (360), validation (40) and test set (120) of ``shapes``."""
    return build_sets(*shapes, AUGMENT)


@pytest.fixture(scope="session")
def data(shapes: tuple[ImageSet, ImageSet], sets: tuple[Split, Split, Split]) -> TrainingData:
    """Everything that training reads."""
    return TrainingData(*shapes, *sets)


@pytest.fixture(scope="session")
def tiny() -> TrainParams:
    """Two epochs of a network that trains in a second, in fp32 so that it does the same on any CPU."""
    params = {"epochs": 2, "batch_size": 64, "device": "cpu", "precision": "fp32"}
    return TrainParams.model_validate({**params, "architecture": {"depth": 8, "width": 4}})


@pytest.fixture
def classifier(data: TrainingData, tiny: TrainParams) -> Classifier:
    """An untrained network for ``shapes``."""
    return build_classifier(data.train_images, data.train_set, tiny)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Classifier]:
    """Makes an untrained network of three classes, equal for equal arguments."""

    def make(names: tuple[str, ...] = ("a", "b", "$c$"), size: int = 32, **architecture: object) -> Classifier:
        torch.manual_seed(0)
        return Classifier(
            ClassifierSpec(
                architecture={"depth": 8, "width": 4, "stem": "cifar", "dropout": 0.5, **architecture},
                class_names=names,
                mean=(120.0, 121.0, 122.0),
                std=(60.0, 61.0, 62.0),
                resize=describe_rule((size, size)),
                title="three kinds",
            )
        )

    return make


@pytest.fixture
def pretrained(make_model: Callable[..., Classifier], tmp_path: Path) -> tuple[Classifier, PretrainedParams]:
    """A model of ten other classes, and what makes ``tiny`` start from its file and train the head alone."""
    model, path = make_model(tuple("ABCDEFGHIJ"), stem="whitened"), tmp_path / "pretrained.safetensors"
    torch.nn.init.normal_(model.network.stem[0].weight)
    path.write_bytes(classifier_to_bytes(model))
    return model, PretrainedParams(path=str(path), freeze=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Browser]":
    from browser import open_browser

    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened
