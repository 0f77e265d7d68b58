"""Images that the report shows beside its tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.image_set import ImageSet
from ..data.planted import plant, planted_shortcut
from ..evaluation.calibration import losses
from ..evaluation.classes import probabilities
from ..explain.cams import Cams, is_blank
from .embedding import explanation_uris, picture_uri, thumbnail_uri
from .overlay import overlay_cam, tile_size

NUM_IN_GALLERY = 12
NUM_PAIRS, NUM_OF_A_PAIR = 5, 6


def show_pairs(pairs: list[dict[str, Any]], test_predictions: pd.DataFrame, images: ImageSet) -> list[dict[str, Any]]:
    """The most confused pairs with the mistakes that the model is surest of."""
    shown = []
    for pair in pairs[:NUM_PAIRS]:
        mistaken = test_predictions[
            (test_predictions["label_name"] == pair["truth"])
            & (test_predictions["prediction_name"] == pair["prediction"])
        ]
        mistaken = mistaken.sort_values("confidence", ascending=False, kind="stable").head(NUM_OF_A_PAIR)
        shown.append({**pair, "examples": [_example(row, images) for row in mistaken.to_dict("records")]})
    return shown


def show_highest_losses(test_predictions: pd.DataFrame, images: ImageSet) -> list[dict[str, Any]]:
    """The test images whose true class the model gives the least probability; ``loss`` in nats."""
    loss = losses(probabilities(test_predictions), test_predictions["label"].to_numpy())
    chosen = np.argsort(-loss, kind="stable")[:NUM_IN_GALLERY]
    rows = test_predictions.iloc[chosen].to_dict("records")
    return [{**_example(row, images), "loss": float(loss[i])} for row, i in zip(rows, chosen, strict=True)]


def show_label_errors(candidates: pd.DataFrame, train_images: ImageSet, test_images: ImageSet) -> list[dict[str, Any]]:
    """The first candidates with their images."""
    rows: Any = candidates.head(NUM_IN_GALLERY).to_dict("records")
    shown = []
    for row in rows:
        images = test_images if row["split"] == "test" else train_images
        path, image = path_of(images, row["index"]), thumbnail_uri(images.images_nhwc[row["index"]])
        shown.append({**row, "path": path, "image": image})
    return shown


def show_duplicates(
    near_duplicates: pd.DataFrame, train_images: ImageSet, test_images: ImageSet
) -> list[dict[str, Any]]:
    """The first pairs with both images; those with different labels first, as they are worth a look."""
    differ = near_duplicates["label_name"] != near_duplicates["train_label_name"]
    sources = {"test": test_images, "val": train_images}
    first = near_duplicates.assign(differ=differ).sort_values("differ", ascending=False, kind="stable")
    rows: Any = first.head(NUM_IN_GALLERY).to_dict("records")
    return [
        {
            **row,
            "image": thumbnail_uri(sources[row["split"]].images_nhwc[row["index"]]),
            "train_image": thumbnail_uri(train_images.images_nhwc[row["train_index"]]),
        }
        for row in rows
    ]


def show_misclassified(misclassified: pd.DataFrame, cams: Cams, images: ImageSet) -> list[dict[str, Any]]:
    """The explained images with both maps and their difference."""
    pictures = explanation_uris(images.images_nhwc[cams.indices], cams.predicted_nhw, cams.true_nhw)
    blanks = zip(is_blank(cams.predicted_nhw).tolist(), is_blank(cams.true_nhw).tolist(), strict=True)
    return [
        _facts(row, images)
        | {"blank_map": blank, "blank_true_map": true_blank}
        | dict(zip(("image", "overlay", "true_overlay", "difference"), uris, strict=True))
        for row, uris, (blank, true_blank) in zip(misclassified.to_dict("records"), pictures, blanks, strict=True)
    ]


def show_shortcut(cams: Cams, provenance: dict[str, Any], images: ImageSet) -> list[dict[str, Any]]:
    """Tagged test images with the map for the tagged class; none where no shortcut was planted."""
    shown = []
    for example, cam_hw in zip(cams.shortcut_examples, cams.shortcut_nhw, strict=True):
        tagged_hwc = plant(images.images_nhwc[example["index"]][None], planted_shortcut(provenance) or {})[0]
        overlay_hwc = overlay_cam(tagged_hwc, cam_hw, tile_size(len(tagged_hwc), 128))
        shown.append({**example, "image": thumbnail_uri(tagged_hwc), "overlay": picture_uri(overlay_hwc)})
    return shown


def path_of(images: ImageSet, index: int) -> str | None:
    return images.paths[index] if images.paths is not None else None


def without_pictures(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same for the page's JSON: what it shows, without the pictures themselves."""
    return [
        {
            key: without_pictures(value) if key == "examples" else value
            for key, value in item.items()
            if not (isinstance(value, str) and value.startswith("data:image/"))
        }
        for item in items
    ]


def _facts(row: Mapping[Any, Any], images: ImageSet) -> dict[str, Any]:
    return {
        "index": int(row["index"]),
        "path": path_of(images, int(row["index"])),
        "truth": str(row["label_name"]),
        "prediction": str(row["prediction_name"]),
        "confidence": float(row["confidence"]),
        "truth_probability": float(row[f"p_{row['label_name']}"]),
    }


def _example(row: Mapping[Any, Any], images: ImageSet) -> dict[str, Any]:
    return _facts(row, images) | {"image": thumbnail_uri(images.images_nhwc[int(row["index"])])}
