import numpy as np
import pytest
import torch

from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.evaluation.metrics import predict_probabilities
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.margins import margins_of

BEST_LR = {"lr": 0.03, "method": "auto", "candidates": {"auto": 0.03}}


@pytest.mark.parametrize(("given", "used"), [(None, 0.03), (0.07, 0.07)])
def test_train_resnet_takes_the_range_tests_rate_unless_one_is_given(data, tiny, tmp_path, given, used):
    params = tiny.model_copy(update={"lr": given, "epochs": 1})
    sets = (data.train_set, data.val_set, data.test_set)
    model, history, timing, margins, curves, provenance = train_resnet(
        data.train_images, data.test_images, *sets, BEST_LR, CheckpointStore(tmp_path), params
    )
    assert history["lr"].tolist() == [used]
    assert provenance["model"]["lr"] == used
    assert len(timing) == 1
    assert margins["split"].value_counts().to_dict() == {s.name: len(s) for s in sets}
    test = margins[margins["split"] == "test"]
    p_nk = predict_probabilities(model, data.test_images, test["index"].to_numpy(), 50, torch.device("cpu"))
    # the logarithm of a ratio of probabilities is the difference of logits
    of_model = margins_of(torch.from_numpy(np.log(p_nk)), torch.from_numpy(data.test_images.labels))
    assert test["margin"].to_numpy() == pytest.approx(of_model.numpy(), abs=1e-4)
    assert model.class_names == data.train_images.class_names
    assert {line.get_label().split(":")[0] for line in curves.axes[0].lines} == {
        "train (augmented)", "validation", "test"
    }  # fmt: skip
    assert len(list(tmp_path.glob("*/epoch-00001.pt"))) == 1
