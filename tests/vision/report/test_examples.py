import numpy as np
import pandas as pd

from s10_pipeline.vision.data.corrections import pixels_sha256
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.report import examples

NUM = 20
IMAGES = ImageSet(
    np.zeros((NUM, 8, 8, 3), np.uint8) + np.arange(NUM, dtype=np.uint8)[:, None, None, None],
    np.zeros(NUM, np.int64), ("a", "b"), tuple(f"{i}.png" for i in range(NUM)),
)  # fmt: skip


def predictions(wrong: int) -> pd.DataFrame:
    """Images of class a, of which the last ``wrong`` are taken for b, each more surely than the one before."""
    p_b = np.where(np.arange(NUM) < NUM - wrong, 0.25, 0.5 + np.arange(NUM) / 100)
    is_b = p_b > 0.5
    table = pd.DataFrame({"index": np.arange(NUM), "label": 0, "label_name": "a", "p_a": 1 - p_b, "p_b": p_b})
    names = np.where(is_b, "b", "a")
    return table.assign(prediction=is_b.astype(int), prediction_name=names, confidence=np.maximum(p_b, 1 - p_b))


def test_a_confused_pair_is_shown_by_the_surest_mistakes() -> None:
    (pair,) = examples.show_pairs([{"truth": "a", "prediction": "b", "count": 9}], predictions(wrong=9), IMAGES)
    assert [example["index"] for example in pair["examples"]] == list(range(NUM))[: -examples.NUM_OF_A_PAIR - 1 : -1]
    first = pair["examples"][0]
    assert (first["path"], first["truth"], first["prediction"], first["confidence"]) == ("19.png", "a", "b", 0.69)
    assert pair["count"] == 9


def test_the_highest_losses_come_first_right_or_wrong() -> None:
    shown = examples.show_highest_losses(predictions(wrong=2), IMAGES)
    assert [item["index"] for item in shown[:3]] == [19, 18, 0]
    np.testing.assert_allclose([item["loss"] for item in shown[:3]], -np.log([0.31, 0.32, 0.75]))


def test_duplicates_with_different_labels_come_first() -> None:
    pairs = pd.DataFrame({"split": ["test", "val"], "index": [1, 2], "train_index": [3, 4]})
    pairs["label_name"], pairs["train_label_name"] = ["a", "a"], ["a", "b"]
    shown = examples.show_duplicates(pairs, IMAGES, IMAGES)
    assert [(row["index"], row["train_index"], row["differ"]) for row in shown] == [(2, 4, True), (1, 3, False)]
    assert shown[0]["image"] != shown[0]["train_image"]


def test_the_page_s_json_has_no_pictures() -> None:
    candidates = pd.DataFrame({"split": ["test", "val"], "index": [6, 5], "margin": [0.5, 0.5]})
    errors = examples.show_label_errors(candidates, IMAGES, IMAGES)
    assert errors[0]["image"].startswith("data:image")
    assert errors.pop()["fix"] is None, "test images are not corrected"
    fix = errors[0].pop("fix")
    assert fix == {"row": ["val", 5, "5.png", pixels_sha256(IMAGES.images_nhwc[5])], "label": "a", "suggested": None}
    assert examples.without_pictures(errors) == [{"split": "val", "index": 5, "margin": 0.5, "path": "5.png"}]
