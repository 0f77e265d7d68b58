import dataclasses
import re
from pathlib import Path

import numpy as np

from s10_pipeline import vision
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.run_key import ROOTS, describe_run, explain_fresh_start, key_of, training_code

CORE = Path(vision.__path__[0])

# An edit of this function or class changes the key.
COMPUTES = {
    "device.py": "def choose_precision", "data/split.py": "class Split", "data/augmenter.py": "class Augmenter",
    "data/cutout.py": "class Cutout", "data/loader.py": "class AugmentedImages",
    "data/transforms.py": "def build_transforms", "network/classifier.py": "class Classifier",
    "network/params.py": "class ArchitectureParams", "network/resnet.py": "class ResNet",
    "network/pretrained.py": "def read_pretrained", "network/whitening.py": "class PatchWhitening",
    "distributed/ranks.py": "class ProcessGroup", "training/ema.py": "def build_ema",
    "training/history.py": "class History", "training/params.py": "class TrainParams",
    "training/measuring.py": "def measure", "training/metric_sums.py": "class MetricSums",
    "training/model.py": "def build_classifier", "training/optimizer.py": "def build_optimizer",
    "training/ranks.py": "class Ranks", "training/resizing.py": "def size_in",
    "training/schedule.py": "class PlateauSchedule", "training/step.py": "class TrainStep",
    "training/trainer.py": "def train_epoch",
}  # fmt: skip
# An edit of these leaves it: they start a training, tell of it, store it, or show in the digests of its data.
BESIDE = (
    "errors.py", "progress.py", "figure_text.py", "types.py", "data/image_files.py", "data/image_set.py",
    "data/params.py", "data/stratified.py", "data/sources/shapes10.py", "lr_search/range_test.py",
    "evaluation/metrics.py", "distributed/launcher.py", "distributed/messages.py", "training/checkpoint_writer.py",
    "training/checkpoints.py", "training/checks.py", "training/curves.py", "training/engine.py",
    "training/estimate.py", "training/git_state.py", "training/provenance.py", "training/run_key.py",
)  # fmt: skip


def pieces(path: Path, definition: str) -> set[str]:
    """The pieces whose text an edit of definitions that start so would change, whole modules among them."""
    module = ".".join(path.with_suffix("").parts)
    names = re.findall(rf"^{definition}(\w*)", (CORE / path).read_text(encoding="utf-8"), re.MULTILINE)
    return {f"vision.{module}.{name}" for name in names} | {f"vision.{module}.(all)"}


def test_an_edit_of_what_computes_changes_the_key_and_of_what_stands_beside_leaves_it():
    computing = training_code().keys()
    assert {f"vision.{module}.{name}" for module, name in ROOTS} <= computing
    for file, definition in COMPUTES.items():
        kind, name = definition.split()
        assert pieces(Path(file), f"{kind} (?={name})") & computing, file
    for file in BESIDE:
        assert not pieces(Path(file), "(?:def|class) ") & computing, file
    assert not {name for name in computing if name.startswith("identity.source")}, "the analysis of code"


def run_key(data, lr, params, precision):
    return key_of(describe_run(data, lr, params, precision))


def test_what_decides_the_result_decides_the_run_key(data, tiny):
    key = run_key(data, 0.1, tiny, "fp32")
    assert key == run_key(data, 0.1, tiny, "fp32")
    same = {"epochs": 9, "device": "auto", "num_workers": 2, "keep_checkpoints": 7, "lr": 0.1}
    assert key == run_key(data, 0.1, tiny.model_copy(update=same), "fp32")
    assert key != run_key(data, 0.2, tiny, "fp32")
    assert key != run_key(data, 0.1, tiny, "bf16")
    for change in ({"seed": 1}, {"momentum": 0.8}, {"batch_size": 32}):
        assert key != run_key(data, 0.1, tiny.model_copy(update=change), "fp32"), change


def test_data_decides_the_run_key(data, tiny, pretrained):
    key = run_key(data, 0.1, tiny, "fp32")
    pixels = data.train_images.images_nhwc.copy()
    pixels[0, 0, 0, 0] ^= 1
    other_pixels = dataclasses.replace(data.train_images, images_nhwc=pixels, digest=None)
    fewer = dataclasses.replace(data.train_set, indices=data.train_set.indices[:-1])
    plain = dataclasses.replace(data.train_set, transforms=[])
    for change in ({"train_images": other_pixels}, {"train_set": fewer}, {"train_set": plain}):
        assert key != run_key(dataclasses.replace(data, **change), 0.1, tiny, "fp32")
    equal = dataclasses.replace(data.train_images, images_nhwc=np.array(data.train_images.images_nhwc), digest=None)
    assert key == run_key(dataclasses.replace(data, train_images=equal), 0.1, tiny, "fp32")
    from_file = tiny.model_copy(update={"pretrained": pretrained[1]})
    key = run_key(data, 0.1, from_file, "fp32")
    Path(pretrained[1].path).write_bytes(b"others")
    assert key != run_key(data, 0.1, from_file, "fp32")


def test_a_fresh_start_is_explained(data, tiny, tmp_path):
    store = CheckpointStore(tmp_path)

    def start(**changes: object) -> str | None:
        depends = describe_run(data, 0.1, tiny.model_copy(update=changes), "fp32")
        with store.open(run_key(data, 0.1, tiny.model_copy(update=changes), "fp32"), keep=1) as checkpoints:
            reason = explain_fresh_start(checkpoints, store, depends)
            checkpoints.describe(depends)
        return reason

    assert start() is None
    assert start(weight_decay=0.25) == "since the last training, train.weight_decay 0.0005 -> 0.25"
    assert start(weight_decay=0.25, anneal_epochs=1, epochs=3) == (
        "since the last training, train.anneal_epochs 0 -> 1"
    )
    start()  # again
    assert start(seed=1) == "since the last training, train.seed 0 -> 1"
    both = {"anneal_epochs": 1, "resizing": tiny.resizing.model_copy(update={"epochs": 1})}
    start(**both)
    told = start(**both, epochs=3)
    assert "train.epochs 2 -> 3" in told
    assert "through train.anneal_epochs and train.resizing.epochs)" in told
