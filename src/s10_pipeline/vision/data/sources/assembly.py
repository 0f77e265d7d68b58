"""From what a source found to image sets: groups, test split, pixels, damaged images; alike for all files of users."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, factorize

from ....identity.digests import sha256_of
from ...errors import UserError, printable
from ...progress import progress_bar
from ..image_files import large_images_allowed
from ..image_set import ImageSet, allocate_pixels
from ..params import IngestParams
from ..resize import UnreadableImage, decode_square_rgb, describe_rule, opened
from ..stratified import hold_out
from .decoding import list_some, map_images, sizes_of

_log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

Title = Callable[[], str]
# Stores the image of each row in what its argument gives for the row (size, size, 3), and yields, in the order of
# rows, a digest, or None, or why the image cannot be read.
Read = Callable[[Callable[[int], Pixels]], Iterator[str | UnreadableImage | None]]


def assemble(
    params: IngestParams, rows: DataFrame, class_names: tuple[str, ...], read: Read, title: Title, files: dict[str, str]
) -> tuple[ImageSet, ImageSet]:
    """Divide what a source found, decode it, and make training and test images of it.

    Validation rows stay among the training images, marked as such. Where no row is a test row, part of the training
    rows is held out for the test.

    Args:
        rows: one per image: ``place`` (path of the file, or without files a name for messages), ``label`` (index in
            ``class_names``), ``split`` (train, val, test) and, where groups are known, ``group``.
        read: decodes the images of ``rows``; yields digests if they are files.
        title: of the source; called after ``read``.
        files: digests that the checksum is made of, besides those of ``read``.

    Raises:
        UserError: a group in two splits; an image that cannot be read, unless ``params.on_bad_image`` is ``skip``.
    """
    setting = f"ingest.path={printable(str(params.path))}"
    rows = _number_groups(rows.reset_index(drop=True), params, setting)
    parameters = _hold_out_test(rows, params, class_names)
    is_test = (rows["split"] == "test").to_numpy()
    positions = np.where(is_test, np.cumsum(is_test), np.cumsum(~is_test)) - 1
    size, numbers = params.image_size, np.bincount(is_test, minlength=2).tolist()
    pixels = [allocate_pixels(number, size, size) for number in numbers]
    results: dict[str, Any] = {}
    _log.info("reading %s images", f"{len(rows):,}")
    with large_images_allowed(), progress_bar("reading images", len(rows)) as bar:
        found = read(lambda row: pixels[int(is_test[row])][positions[row]])
        for place, result in zip(rows["place"], found, strict=True):
            results[place] = result
            bar.advance()
    reasons = {place: str(result) for place, result in results.items() if isinstance(result, UnreadableImage)}
    damaged = rows["place"].isin(reasons).to_numpy()
    listed = [f"{place}: {reason}" for place, reason in reasons.items()]
    told = list_some(listed, "; ")
    for line in listed:
        _log.warning("%s: %s", setting, line)
    if reasons and params.on_bad_image == "fail":
        raise UserError(f"{setting}: {told}; remove or replace what is named, or give ingest.on_bad_image=skip")
    if gone := set(rows["split"]) - set(rows["split"][~damaged]):
        raise UserError(f"{setting}: no {' and no '.join(sorted(gone))} image can be read ({told}); replace them")
    digests = {place: digest for place, digest in sorted(results.items()) if isinstance(digest, str)}
    checksum, sets = checksum_of({**files, **digests}), []
    for split, of_split, images_nhwc in zip(("train", "test"), (~is_test, is_test), pixels, strict=True):
        chosen, skipped = rows[of_split & ~damaged], rows["place"][of_split & damaged]
        source = describe_source(params, split, title(), checksum, **parameters)
        if len(skipped):
            source["skipped"] = {place: reasons[place] for place in skipped}
            for to, row in enumerate(chosen.index):
                images_nhwc[to] = images_nhwc[positions[row]]  # one by one: a copy of all might not fit into memory
        validation = (chosen["split"] == "val").to_numpy()
        fields: dict[str, Any] = {"validation": validation} if validation.any() else {}
        fields |= {"groups": chosen["group"].to_numpy(np.int64)} if "group" in rows else {}
        fields |= {"paths": tuple(chosen["place"])} if digests else {}
        labels = chosen["label"].to_numpy(np.int64)
        sets.append(ImageSet(images_nhwc[: len(chosen)], labels, class_names, source=source, **fields))
    return sets[0], sets[1]


def read_files(root: Path, rows: DataFrame, size: int) -> Read:
    """Return a reader of the files ``root / place``; it yields the SHA-256 of each."""
    files = [root / place for place in rows["place"]]

    def read(pixels_of: Callable[[int], Pixels]) -> Iterator[str | UnreadableImage]:
        def read_image(row: int) -> str:
            with opened(files[row]) as stream:
                pixels_of(row)[...] = decode_square_rgb(stream, size)
                stream.seek(0)
                return sha256_of(stream.read())

        return map_images(read_image, range(len(files)), sizes_of(files))

    return read


def _number_groups(rows: DataFrame, params: IngestParams, setting: str) -> DataFrame:
    """Give groups numbers; ``params.group_pattern`` finds them in paths. Raises UserError for one in two splits."""
    if params.group_pattern is not None:
        matches = [re.search(params.group_pattern, place) for place in rows["place"]]
        rows["group"] = [match[1] if match else None for match in matches]
        if outside := rows["place"][rows["group"].isna()].tolist():
            raise UserError(
                f"ingest.group_pattern={params.group_pattern}: finds no group in {list_some(outside)}; give a pattern "
                "that matches every path"
            )
    if "group" not in rows:
        return rows
    splits = rows.groupby("group")["split"].unique()
    if astride := [f"{group} ({', '.join(names)})" for group, names in splits.items() if len(names) > 1]:
        raise UserError(
            f"{setting}: groups in several splits: {list_some(astride)}; put each into one, or leave out the splits"
        )
    return rows.assign(group=factorize(rows["group"])[0])


def _hold_out_test(rows: DataFrame, params: IngestParams, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Turn training rows into test rows where there are none; return the parameters that chose them."""
    if (rows["split"] == "test").any():
        return {}
    train = rows[rows["split"] == "train"]
    labels, groups = train["label"].to_numpy(np.int64), train["group"].to_numpy() if "group" in train else None
    _, held_out = hold_out(labels, params.test_fraction, params.seed, class_names, "ingest.test_fraction", groups)
    rows.loc[train.index[held_out], "split"] = "test"
    return {"seed": params.seed, "test_fraction": params.test_fraction}


def describe_source(
    params: IngestParams, split: str, title: str, checksum: str, **parameters: object
) -> dict[str, Any]:
    """Return ``source`` of an image set; ``parameters`` stand there besides those that all sources have."""
    return {
        "name": params.source,
        "split": split,
        "title": title,
        "checksum": checksum,
        "parameters": {"source": params.source, "image_size": params.image_size, **parameters},
        "resize": describe_rule((params.image_size, params.image_size)),
    }


def checksum_of(digests: Mapping[str, object]) -> str:
    """Return the SHA-256 over names of files and digests of their contents, in the order given."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in digests.items())
    return f"sha256:{sha256_of(lines.encode())}"
