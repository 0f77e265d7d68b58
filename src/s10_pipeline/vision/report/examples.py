"""Images that the report shows beside its tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.corrections import pixels_sha256
from ..data.image_set import ImageSet
from ..data.planted import plant, planted_shortcut
from ..evaluation.calibration import losses
from ..evaluation.classes import probabilities
from ..explain.cams import Cams, is_blank
from .embedding import explanation_uris, picture_uri, thumbnail_uri
from .overlay import overlay_cam, tile_size

NUM_IN_GALLERY = 12
NUM_PAIRS, NUM_OF_A_PAIR = 5, 6
# Of training and validation images more can be reached, so that they can be corrected; those behind the first dozen are
# smaller, in pixels, and so the page stays below 5 MB.
NUM_TO_CORRECT, NUM_DUPLICATES, FOLDED_SIZE = 200, 50, 64


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
    """The first candidates with their images: those that can be corrected, then those among test images."""
    of_test = candidates["split"] == "test"
    parts = (
        (candidates[~of_test].head(NUM_TO_CORRECT), train_images),
        (candidates[of_test].head(NUM_IN_GALLERY), test_images),
    )
    return [
        _candidate(row, place, images) for rows, images in parts for place, row in enumerate(rows.to_dict("records"))
    ]


def show_lowest_margins(
    train_margins: pd.DataFrame, candidates: pd.DataFrame, train_images: ImageSet
) -> list[dict[str, Any]]:
    """The training and validation images behind the candidates for wrong labels: those that fit their label least."""
    margins, listed = (table[table["split"] != "test"] for table in (train_margins, candidates))
    rows = margins[~margins["index"].isin(listed["index"])].nsmallest(NUM_IN_GALLERY, "margin").to_dict("records")
    return [_candidate(row, 0, train_images) for row in rows]


def show_duplicates(
    near_duplicates: pd.DataFrame, train_images: ImageSet, test_images: ImageSet
) -> list[dict[str, Any]]:
    """The first pairs with both images; those with different labels first, as they are worth a look."""
    differ = near_duplicates["label_name"] != near_duplicates["train_label_name"]
    first = near_duplicates.assign(differ=differ).sort_values("differ", ascending=False, kind="stable")
    shown = []
    for place, row in enumerate(first.head(NUM_DUPLICATES).to_dict("records")):
        copy = _candidate({"split": "train", "index": row["train_index"]}, place, train_images)
        of_train = {f"train_{name}": copy[name] for name in ("image", "fix")}
        shown.append({**_candidate(row, place, test_images if row["split"] == "test" else train_images), **of_train})
    return shown


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


def show_augmented(examples: ImageSet) -> list[dict[str, Any]]:
    """The table of :func:`~..data.examples.draw_examples`, row by row: the class and its pictures."""
    num_columns = len(examples.source["columns"])
    return [
        {
            "class_name": examples.class_names[examples.labels[first]],
            "images": [
                thumbnail_uri(image, FOLDED_SIZE) for image in examples.images_nhwc[first : first + num_columns]
            ],
        }
        for first in range(0, len(examples), num_columns)
    ]


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


def _candidate(row: dict[Any, Any], place: int, images: ImageSet) -> dict[str, Any]:
    """``row`` with its image and, unless that is a test image, with what a correction (``fix``) says of it."""
    index, pixels = row["index"], images.images_nhwc[row["index"]]
    path = path_of(images, index)
    image = thumbnail_uri(pixels) if place < NUM_IN_GALLERY else thumbnail_uri(pixels, FOLDED_SIZE)
    fix = {
        "row": [row["split"], index, path or "", pixels_sha256(pixels)],
        "label": images.class_names[images.labels[index]],
        "suggested": row.get("suggested_name"),
    }
    return {**row, "path": path, "image": image, "fix": None if row["split"] == "test" else fix}


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
