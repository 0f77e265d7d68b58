"""Select the images that the report shows, with the label, prediction and other facts to print beside each."""

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
# Largest numbers of candidates for wrong labels and of near-duplicate pairs in the report.
NUM_TO_CORRECT, NUM_DUPLICATES = 200, 50
# Side length, in pixels, of the images after the first NUM_IN_GALLERY of a list, so that the report stays below 5 MB.
FOLDED_SIZE = 64


def show_pairs(pairs: list[dict[str, Any]], test_predictions: pd.DataFrame, images: ImageSet) -> list[dict[str, Any]]:
    """Return the most confused pairs (true class, predicted class), each with its most confident mistakes."""
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
    """Return the test images with the highest cross-entropy loss (``loss``, in nats), highest first."""
    loss = losses(probabilities(test_predictions), test_predictions["label"].to_numpy())
    chosen = np.argsort(-loss, kind="stable")[:NUM_IN_GALLERY]
    rows = test_predictions.iloc[chosen].to_dict("records")
    return [{**_example(row, images), "loss": float(loss[i])} for row, i in zip(rows, chosen, strict=True)]


def show_label_errors(candidates: pd.DataFrame, train_images: ImageSet, test_images: ImageSet) -> list[dict[str, Any]]:
    """Return the most suspicious candidates for wrong labels with their images; test images come last."""
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
    """Return the training and validation images with the lowest margins, without candidates for wrong labels.

    The margin is the logit of the label minus the highest logit of another class, averaged over all epochs.
    """
    margins, listed = (table[table["split"] != "test"] for table in (train_margins, candidates))
    rows = margins[~margins["index"].isin(listed["index"])].nsmallest(NUM_IN_GALLERY, "margin").to_dict("records")
    return [_candidate(row, 0, train_images) for row in rows]


def show_duplicates(
    near_duplicates: pd.DataFrame, train_images: ImageSet, test_images: ImageSet
) -> list[dict[str, Any]]:
    """Return the first near-duplicate pairs with both images; pairs with different labels come first."""
    differ = near_duplicates["label_name"] != near_duplicates["train_label_name"]
    first = near_duplicates.assign(differ=differ).sort_values("differ", ascending=False, kind="stable")
    shown = []
    for place, row in enumerate(first.head(NUM_DUPLICATES).to_dict("records")):
        copy = _candidate({"split": "train", "index": row["train_index"]}, place, train_images)
        of_train = {f"train_{name}": copy[name] for name in ("image", "fix")}
        shown.append({**_candidate(row, place, test_images if row["split"] == "test" else train_images), **of_train})
    return shown


def show_misclassified(misclassified: pd.DataFrame, cams: Cams, images: ImageSet) -> list[dict[str, Any]]:
    """Return the misclassified images, each with its maps for the predicted and the true class and their difference."""
    pictures = explanation_uris(images.images_nhwc[cams.indices], cams.predicted_nhw, cams.true_nhw)
    blanks = zip(is_blank(cams.predicted_nhw).tolist(), is_blank(cams.true_nhw).tolist(), strict=True)
    return [
        _facts(row, images)
        | {"blank_map": blank, "blank_true_map": true_blank}
        | dict(zip(("image", "overlay", "true_overlay", "difference"), uris, strict=True))
        for row, uris, (blank, true_blank) in zip(misclassified.to_dict("records"), pictures, blanks, strict=True)
    ]


def show_shortcut(cams: Cams, provenance: dict[str, Any], images: ImageSet) -> list[dict[str, Any]]:
    """Return test images with the planted tag, each with its map for the class whose training images have the tag.

    The list is empty if no shortcut (such a tag) was planted.
    """
    shown = []
    for example, cam_hw in zip(cams.shortcut_examples, cams.shortcut_nhw, strict=True):
        tagged_hwc = plant(images.images_nhwc[example["index"]][None], planted_shortcut(provenance) or {})[0]
        overlay_hwc = overlay_cam(tagged_hwc, cam_hw, tile_size(len(tagged_hwc), 128))
        shown.append({**example, "image": thumbnail_uri(tagged_hwc), "overlay": picture_uri(overlay_hwc)})
    return shown


def show_augmented(examples: ImageSet) -> list[dict[str, Any]]:
    """Return the rows of augmented training images (:func:`~..data.examples.draw_examples`): class name and images."""
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
    """Return dictionaries about images without the ``data:`` URIs of the images, for the JSON in the report."""
    return [
        {
            key: without_pictures(value) if key == "examples" else value
            for key, value in item.items()
            if not (isinstance(value, str) and value.startswith("data:image/"))
        }
        for item in items
    ]


def _candidate(row: dict[Any, Any], place: int, images: ImageSet) -> dict[str, Any]:
    """Return a row of a table with its image added, and ``fix``, which lets the report's buttons correct its label.

    For test images, ``fix`` is None, because they must not be corrected.
    """
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
