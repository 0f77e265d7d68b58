"""Build the training and test sets from the table of images that a data source found (one row per image).

This includes numbering groups, choosing test images, decoding pixels, and handling damaged images.
"""

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

# Function that decodes all images of a source. Its argument is a function from an image's row number to the array
# (size, size, 3) to fill. It yields per image the file's digest, None (no file) or an UnreadableImage.
Read = Callable[[Callable[[int], Pixels]], Iterator[str | UnreadableImage | None]]


def assemble(
    params: IngestParams, rows: DataFrame, class_names: tuple[str, ...], read: Read, title: Title, files: dict[str, str]
) -> tuple[ImageSet, ImageSet]:
    """Decode the images listed in ``rows``, and return them as (training images, test images).

    Validation images stay among the training images and are marked there. If the source has no test images, part of the
    training images is held out for the test.

    Args:
        rows: one row per image: ``place`` (path of the file; without files, a name for messages), ``label`` (index
            into ``class_names``), ``split`` (train, val, test) and, if groups are known, ``group``.
        read: decodes the images of ``rows``; yields digests if they are files.
        title: returns the title of the source; called after ``read``.
        files: name -> digest of further files that enter the checksum.

    Raises:
        UserError: a group is in two splits; an image cannot be read and ``params.on_bad_image`` is not ``skip``; no
            image of a split can be read.
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
    lines = [f"{place}: {reason}" for place, reason in reasons.items()]
    listed = list_some(lines, "; ")
    for line in lines:
        _log.warning("%s: %s", setting, line)
    if reasons and params.on_bad_image == "fail":
        raise UserError(
            f"{setting}: unreadable images: {listed}; remove or replace these images, or give ingest.on_bad_image=skip"
        )
    if gone := set(rows["split"]) - set(rows["split"][~damaged]):
        splits = " and no ".join(sorted(gone))
        raise UserError(f"{setting}: no {splits} image can be read ({listed}); replace these images")
    digests = {place: digest for place, digest in sorted(results.items()) if isinstance(digest, str)}
    checksum, sets = checksum_of({**files, **digests}), []
    for split, of_split, images_nhwc in zip(("train", "test"), (~is_test, is_test), pixels, strict=True):
        chosen, skipped = rows[of_split & ~damaged], rows["place"][of_split & damaged]
        source = describe_source(params, split, title(), checksum, **parameters)
        if len(skipped):
            source["skipped"] = {place: reasons[place] for place in skipped}
            # move the readable images to the front one by one, because a copy of the array may not fit into memory
            for to, row in enumerate(chosen.index):
                images_nhwc[to] = images_nhwc[positions[row]]
        validation = (chosen["split"] == "val").to_numpy()
        fields: dict[str, Any] = {"validation": validation} if validation.any() else {}
        fields |= {"groups": chosen["group"].to_numpy(np.int64)} if "group" in rows else {}
        fields |= {"paths": tuple(chosen["place"])} if digests else {}
        labels = chosen["label"].to_numpy(np.int64)
        sets.append(ImageSet(images_nhwc[: len(chosen)], labels, class_names, source=source, **fields))
    return sets[0], sets[1]


def read_files(root: Path, rows: DataFrame, size: int) -> Read:
    """Return a function that decodes the image files in ``rows`` into given arrays and yields the files' SHA-256.

    The column ``place`` of ``rows`` has the files' paths relative to ``root``.
    """
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
    """Replace the names of image groups (such as patients) by numbers; check that each group is in one split only.

    If ``params.group_pattern`` is given, the name of an image's group is searched for in the image's path.

    Raises:
        UserError: the pattern finds no group in a path, or a group is in several splits.
    """
    if params.group_pattern is not None:
        matches = [re.search(params.group_pattern, place) for place in rows["place"]]
        rows["group"] = [match[1] if match else None for match in matches]
        if outside := rows["place"][rows["group"].isna()].tolist():
            raise UserError(
                f"ingest.group_pattern={params.group_pattern}: the pattern finds no group in {list_some(outside)}; "
                "give a pattern that matches the path of every image"
            )
    if "group" not in rows:
        return rows
    splits = rows.groupby("group")["split"].unique()
    if divided := [f"{group} ({', '.join(names)})" for group, names in splits.items() if len(names) > 1]:
        raise UserError(
            f"{setting}: image groups in several splits: {list_some(divided)}; put all images of a group in one split, "
            "or give the images without splits"
        )
    return rows.assign(group=factorize(rows["group"])[0])


def _hold_out_test(rows: DataFrame, params: IngestParams, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Mark some training rows as test rows if the source has no test images; return the parameters that chose them."""
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
    """Return the value of ``ImageSet.source``, which describes where the images of a split come from.

    Args:
        **parameters: parameters of ingest that chose the images, in addition to ``source`` and ``image_size``.
    """
    return {
        "name": params.source,
        "split": split,
        "title": title,
        "checksum": checksum,
        "parameters": {"source": params.source, "image_size": params.image_size, **parameters},
        "resize": describe_rule((params.image_size, params.image_size)),
    }


def checksum_of(digests: Mapping[str, object]) -> str:
    """Return one SHA-256 of all file names and digests, in the given order."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in digests.items())
    return f"sha256:{sha256_of(lines.encode())}"
