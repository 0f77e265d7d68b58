from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.training.checkpoints import CheckpointStore


def test_train_resnet_takes_the_range_tests_rate_unless_one_is_given(artifacts, data, tiny, tmp_path):
    given = tiny.model_copy(update={"lr": 0.07, "epochs": 1})
    best_lr, store = artifacts["best_lr"], CheckpointStore(tmp_path)
    _, history, _, _, provenance = train_resnet(*vars(data).values(), best_lr, store, given)
    for rows, made, rate in (
        (artifacts["training_history"], artifacts["provenance"], best_lr["lr"]),
        (history, provenance, 0.07),
    ):
        assert set(rows["lr"]) == {made["model"]["lr"]} == {rate}
    assert len(artifacts["training_timing"]) == tiny.epochs
    assert artifacts["model"].class_names == data.train_images.class_names
    assert {line.get_label().split(":")[0] for line in artifacts["accuracy_curves"].axes[0].lines} >= {
        "train (augmented)", "validation", "test"
    }  # fmt: skip
    assert len(list(artifacts["checkpoints"].root.glob("*/epoch-00002.pt"))) == 1
