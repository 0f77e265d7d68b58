import pytest

from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.training.checkpoints import CheckpointStore

BEST_LR = {"lr": 0.03, "method": "auto", "candidates": {"auto": 0.03}}


@pytest.mark.parametrize(("given", "used"), [(None, 0.03), (0.07, 0.07)])
def test_train_resnet_takes_the_range_tests_rate_unless_one_is_given(data, tiny, tmp_path, given, used):
    params = tiny.model_copy(update={"lr": given, "epochs": 1})
    sets = (data.train_set, data.val_set, data.test_set)
    model, history, timing, curves, provenance = train_resnet(
        data.train_images, data.test_images, *sets, BEST_LR, CheckpointStore(tmp_path), params
    )
    assert history["lr"].tolist() == [used]
    assert provenance["model"]["lr"] == used
    assert len(timing) == 1
    assert model.class_names == data.train_images.class_names
    assert {line.get_label().split(":")[0] for line in curves.axes[0].lines} == {
        "train (augmented)", "validation", "test"
    }  # fmt: skip
    assert len(list(tmp_path.glob("*/epoch-00001.pt"))) == 1
