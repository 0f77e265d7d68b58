import numpy as np
import pytest
import torch

from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.evaluation.metrics import predict_probabilities
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.margins import margins_of


def test_train_resnet_takes_the_range_tests_rate_unless_one_is_given(artifacts, data, tiny, tmp_path):
    given = tiny.model_copy(update={"lr": 0.07, "epochs": 1})
    best_lr, store = artifacts["best_lr"], CheckpointStore(tmp_path)
    model, history, _, margins, _, provenance = train_resnet(*vars(data).values(), best_lr, store, given)
    for rows, made, rate in (
        (artifacts["training_history"], artifacts["provenance"], best_lr["lr"]),
        (history, provenance, 0.07),
    ):
        assert set(rows["lr"]) == {made["model"]["lr"]} == {rate}
    sets = (data.train_set, data.val_set, data.test_set)
    assert margins["split"].value_counts().to_dict() == {s.name: len(s) for s in sets}
    test = margins[margins["split"] == "test"]
    p_nk = predict_probabilities(model, data.test_images, test["index"].to_numpy(), 50, torch.device("cpu"))
    # the logarithm of a ratio of probabilities is the difference of logits
    of_model = margins_of(torch.from_numpy(np.log(p_nk)), torch.from_numpy(data.test_images.labels))
    assert test["margin"].to_numpy() == pytest.approx(of_model.numpy(), abs=1e-4)
    assert len(artifacts["training_timing"]) == tiny.epochs
    assert artifacts["model"].class_names == data.train_images.class_names
    assert {line.get_label().split(":")[0] for line in artifacts["accuracy_curves"].axes[0].lines} >= {
        "train (augmented)", "validation", "test"
    }  # fmt: skip
    assert len(list(artifacts["checkpoints"].root.glob("*/epoch-00002.pt"))) == 1
