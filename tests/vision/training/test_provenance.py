import hashlib
import json

from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.provenance import describe_training

BEST_LR = {"lr": 0.05, "method": "auto", "candidates": {"auto": 0.05}, "parameters": {"num_iterations": 40}}


def test_it_says_what_made_the_model(data, tiny, tmp_path):
    params = tiny.model_copy(update={"epochs": 1})
    result = train_classifier(data, 0.05, params, CheckpointStore(tmp_path))
    told = json.loads(json.dumps(describe_training(data, BEST_LR, params, result)))
    assert told["data"]["train"]["name"] == "shapes10"
    assert told["data"]["train"]["checksum"].startswith("sha256:")
    assert told["augment"]["train"] == data.train_set.transforms
    assert told["augment"]["images"] == {"train": 360, "val": 40, "test": 120}
    digest = hashlib.sha256(data.val_set.indices.tobytes()).hexdigest()
    assert told["augment"]["split_digests"]["val"] == digest != told["augment"]["split_digests"]["train"]
    assert told["lr_search"]["parameters"] == {"num_iterations": 40}
    assert told["train"]["batch_size"] == 64
    assert told["model"]["lr"] == 0.05
    assert told["model"]["lr_from"] == "range test"
    assert told["device"]["precision"] == "fp32"
    assert told["libraries"]["torch"]
    assert len(told["code"]["digest"]) == 64
    typed = describe_training(data, BEST_LR, params.model_copy(update={"lr": 0.05}), result)
    assert typed["model"]["lr_from"] == "train.lr"
    short = describe_training(data, {**BEST_LR, "unread": "the training is too short for one"}, params, result)
    assert short["model"]["lr_from"] == "rule"
    # an interrupted training went on at its own rate
    went_on = describe_training(data, {**BEST_LR, "lr": 0.07}, params, result)
    assert (went_on["model"]["lr"], went_on["model"]["lr_from"]) == (0.05, "interrupted training")
    assert went_on["lr_search"]["lr"] == 0.07
