"""Explain in the report where the learning rate comes from, and which data and code made the model."""

from typing import Any

import pandas as pd

from ...identity.digests import sha256_of


def resized_epochs(provenance: dict[str, Any]) -> int:
    """Return the number of epochs at the start of training that used scaled-down images."""
    train = provenance.get("train", {})
    return min(int((train.get("resizing") or {}).get("epochs", 0)), int(train.get("epochs", 1)) - 1)


def explain_learning_rate(provenance: dict[str, Any], best_lr: dict[str, Any]) -> dict[str, Any]:
    """Return the learning rate of training after warm-up (``lr``) and where it comes from (``taken_from``).

    ``taken_from`` is ``range test``, ``rule`` (no test ran), ``interrupted training`` or ``train.lr``. ``method``,
    ``suggested``, ``candidates``, ``band``, ``num_tests`` and ``unread`` (reason why no rate was read) are results of
    the range test. ``same_test``: whether training read the stored one.
    """
    model, searched = provenance.get("model", {}), provenance.get("lr_search") or best_lr
    return {
        "lr": model.get("lr", best_lr["lr"]),
        "taken_from": model.get("lr_from", "range test"),
        "method": searched.get("method"),
        "suggested": searched.get("lr"),
        "candidates": searched.get("candidates", {}),
        "band": searched.get("band"),
        "num_tests": searched.get("num_tests"),
        "unread": searched.get("unread"),
        "same_test": searched.get("candidates") == best_lr.get("candidates"),
    }


def trace_lineage(provenance: dict[str, Any], model: str, test_predictions: pd.DataFrame) -> list[tuple[str, str, str]]:
    """List the steps from the data source to the predictions, each with a description and a checksum or identifier.

    Args:
        model: digest of the model's file.
    """
    data, augment, train = (provenance.get(key, {}) for key in ("data", "augment", "train"))
    steps = []
    for split in ("train", "test"):
        source = data.get(split, {})
        read = f"{source.get('title', 'unnamed data')}, source {source.get('name', 'unknown')}"
        steps.append((f"{split} source", read, str(source.get("checksum", "no checksum"))))
        count = f"{source['num_images']:,} images" if "num_images" in source else "images"
        count += f", {len(source['skipped']):,} damaged ones left out" if "skipped" in source else ""
        steps.append((f"{split} images", f"{count}, as stored", f"sha256:{source.get('digest', 'unknown')}"))
    sizes = ", ".join(f"{n:,} {name}" for name, n in augment.get("images", {}).items())
    split = f"augment.seed={augment.get('seed')}, augment.val_fraction={augment.get('val_fraction')}"
    split = f"validation images {augment['validation']}" if "validation" in augment else split
    steps.append(("split", sizes or "unknown", split))
    code = provenance.get("code", {})
    version = str(code.get("commit", code.get("digest", "unknown")))
    changed = ", with uncommitted changes" if code.get("uncommitted_changes") else ""
    steps.append(("code", f"s10_pipeline {code.get('version', '')}{changed}", version))
    steps.append(("model", f"train.seed={train.get('seed')}, {train.get('epochs')} epochs", model))
    rows = pd.util.hash_pandas_object(test_predictions, index=False).to_numpy()
    steps.append(("predictions", f"{len(test_predictions):,} test images", f"sha256:{sha256_of(rows)}"))
    return steps
