"""Measure the effect of class weights on rare classes, and of pretraining when each class has few images.

python benchmarks/own_images.py weights
python benchmarks/own_images.py pretraining --cifar=DIR
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lr_images import read_images
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.sources.shapes10 import SHAPE_NAMES, draw
from s10_pipeline.vision.data.split import Split, build_sets
from s10_pipeline.vision.network.classifier import Classifier, classifier_to_bytes
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import TrainParams
from seeds import in_words
from setting import command, hardware, versions

# Numbers of drawn training images per class (one frequent, two rare), and of test images per class.
COUNTS, NUM_SCORED, SEEDS = (400, 30, 30), 500, range(5)
# A network is pretrained on PRETRAINED_ON, five classes of CIFAR-10 with NUM_PRETRAINED images each, and fine-tuned on
# the other five. TUNED_ON: images per class -> epochs.
PRETRAINED_ON, NUM_PRETRAINED, TUNED_ON, TUNING_SEEDS = (0, 2, 4, 6, 8), 1000, {20: 30, 50: 20, 200: 10}, range(3)
AUGMENT = AugmentParams.model_validate({"train": [{"PaddedRandomCrop": {"padding": 0.0625}}, "HorizontalFlip"]})


def train(images: ImageSet, seed: int, epochs: int, width: int, **changes: object) -> Classifier:
    """Train at rate 0.1, annealed to zero in the second half of the epochs."""
    params = {"epochs": epochs, "batch_size": 32, "lr": 0.1, "warmup_epochs": 2, "anneal_epochs": epochs // 2}
    params |= {"plateau": {"patience": epochs}, "device": "cpu", "num_workers": 0, "seed": seed, **changes}
    params["architecture"] = {"depth": 8, "width": width, "stem": "whitened"}
    train_set, val_set, _ = build_sets(images, images, AUGMENT.model_copy(update={"seed": seed}))
    unread = Split("test", np.arange(1), [], train_set.mean, train_set.std)
    data = TrainingData(images, images, train_set, val_set, unread)
    with tempfile.TemporaryDirectory() as folder:
        return train_classifier(data, 0.1, TrainParams.model_validate(params), CheckpointStore(Path(folder))).model


def recalls(model: Classifier, images: ImageSet) -> np.ndarray:
    """Return the accuracy on each class, in percent."""
    right = []
    for rows in np.array_split(np.arange(len(images)), len(images) // 500 + 1):
        p_bk = model.probabilities(torch.from_numpy(images.images_nhwc[rows]).permute(0, 3, 1, 2))
        right.extend(p_bk.argmax(1).numpy() == images.labels[rows])
    return np.array([100 * np.array(right)[images.labels == k].mean() for k in range(len(images.class_names))])


def some_of(images: ImageSet, classes: Sequence[int], counts: Sequence[int], seed: int) -> ImageSet:
    """Return randomly chosen images, ``counts[i]`` of class ``classes[i]``, with labels renumbered from 0."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(images.labels == k))[:n] for k, n in zip(classes, counts, strict=True)]
    labels = np.repeat(np.arange(len(classes)), [len(chosen) for chosen in rows])
    return ImageSet(images.images_nhwc[np.concatenate(rows)], labels, tuple(images.class_names[k] for k in classes))


def weights() -> list[str]:
    classes, kinds, found = range(len(COUNTS)), ("none", "balanced"), {}
    for seed in SEEDS:
        drawn, scored = (ImageSet(*draw(5000, 32, seed, split=split), SHAPE_NAMES) for split in ("train", "test"))
        images, test = some_of(drawn, classes, COUNTS, seed), some_of(scored, classes, [NUM_SCORED] * 3, seed)
        each = [recalls(train(images, seed, 100, 12, class_weights=kind), test) for kind in kinds]
        found[seed,] = [*(r.mean() for r in each), *(r[1:].mean() for r in each)]
    gains = np.array(list(found.values())) @ [[-1, 0], [1, 0], [0, -1], [0, 1]]
    told = in_words(gains[:, 0], "gain", sign="+") + in_words(gains[:, 1], "gain in the rare classes", sign="+")
    return [*table(["seed", *kinds, *(f"rare classes, {kind}" for kind in kinds)], found), "", *told]


def pretraining(cifar: str) -> list[str]:
    pool, scoring = read_images('{"source": "cifar10", "images": 46000}', cifar)
    others = [k for k in range(10) if k not in PRETRAINED_ON]
    test = some_of(scoring, others, [len(scoring)] * len(others), 0)
    arms, found, told = ("from nothing", "pretrained", "pretrained, frozen"), {}, []
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{seed}.safetensors") for seed in TUNING_SEEDS]
        for seed, file in zip(TUNING_SEEDS, files, strict=True):
            images = some_of(pool, PRETRAINED_ON, [NUM_PRETRAINED] * len(PRETRAINED_ON), seed)
            Path(file).write_bytes(classifier_to_bytes(train(images, seed, 10, 16)))
        for count, epochs in TUNED_ON.items():
            for seed, file in zip(TUNING_SEEDS, files, strict=True):
                images = some_of(pool, others, [count] * len(others), seed)
                starts = {}, {"path": file}, {"path": file, "freeze": True}
                models = [train(images, seed, epochs, 16, pretrained=start) for start in starts]
                found[count, seed] = [recalls(model, test).mean() for model in models]
            for arm in (1, 2):
                gains = [found[count, seed][arm] - found[count, seed][0] for seed in TUNING_SEEDS]
                told += in_words(gains, f"gain of {arms[arm]} at {count} images per class", sign="+")
    return [*table(["images per class", "seed", *arms], found), "", *told]


def table(head: Sequence[str], found: dict[tuple[int, ...], list[float]]) -> list[str]:
    rows = [[*map(str, key), *(f"{value:.1f} %" for value in row)] for key, row in found.items()]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---:"] * len(head), *rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("weights", "pretraining"))
    parser.add_argument("--cifar", help="CIFAR-10 as a folder of parquet files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable()
    started = time.perf_counter()
    lines = weights() if arguments.what == "weights" else pretraining(arguments.cifar)
    took = f"{(time.perf_counter() - started) / 60:.0f} minutes"
    print(f"{command()}, {hardware()}, {took}. {versions()}", "", *lines, sep="\n")


if __name__ == "__main__":
    main()
