"""The user's own images: one folder per class."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....identity.digests import sha256_of
from ...errors import UserError
from ...progress import progress_bar
from ..image_files import image_extensions, large_images_allowed, listing, printable, walk_images
from ..image_set import ImageSet, allocate_pixels
from ..params import IngestParams
from ..resize import UnreadableImage, decode_square_rgb, opened
from ..stratified import stratified_split
from .decoding import list_unreadable, map_images, sizes_of
from .description import checksum_of, image_sets
from .suggestion import source_folder, suggest_source

_log = logging.getLogger(__name__)

# Names of folders of training and test images, in lower case: training, seg_train, test_set, testdata, train2017, ...
SPLIT = re.compile(r"(?<![a-z])(?:(?P<train>train(?:ing)?)|(?P<test>test(?:ing)?))(?:set|data|images)?(?![a-z])")

# Class name -> its files, relative to the source's folder, with "/" on every system; both sorted.
Files = dict[str, list[str]]


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Training and test images, sorted by class and path, brought to ``params.image_size``.

    ``params.path`` holds ``train/<class>/...`` and ``test/<class>/...``, by these names or others with one of the usual
    words (:data:`SPLIT`), or ``<class>/...`` alone: then
    ``params.test_fraction`` of each class, at least one image, is drawn for the test with ``params.seed``. Sub-folders
    of a class are searched too, links to folders among them not; hidden files and folders and files without the
    extension of an image are passed over, with a warning where they are pictures in a format that is not decoded.

    Raises:
        UserError: no such layout; fewer than two classes; a class without images; a folder or image that cannot
            be read.
    """
    root, setting = source_folder(params, "give a folder with train/<class>/ and test/<class>/, or <class>/ alone")
    parameters: dict[str, Any] = {}
    with listing(setting):
        splits = _find_splits(root, setting)
        files = _list_classes(root, splits[0] if splits else ".", setting)
        class_names = tuple(files)
        paths, labels = _labelled(files, class_names)
        chosen = {"train": (paths, labels)}
        if splits:
            chosen["test"] = _labelled(_list_test(root, splits[1], class_names, setting), class_names)
        else:
            parameters = {"seed": params.seed, "test_fraction": params.test_fraction}
            parts = stratified_split(
                labels, params.test_fraction, params.seed, class_names, "ingest.test_fraction", at_least_one=True
            )
            for split, part in zip(("train", "test"), parts, strict=True):
                chosen[split] = tuple(paths[i] for i in part), labels[part]
    contents = {}
    digests: dict[str, str | UnreadableImage] = {}
    for split, (paths, labels) in chosen.items():
        pixels, digests_of_split = _read_images(root, paths, split, params.image_size)
        digests |= digests_of_split
        contents[split] = pixels, labels, paths
    if unreadable := {path: reason for path, reason in digests.items() if isinstance(reason, UnreadableImage)}:
        raise UserError(f"{setting}: {list_unreadable(unreadable)}; remove or replace what is named")
    title, checksum = f"{root.resolve().name}: a folder of images", checksum_of(dict(sorted(digests.items())))
    return image_sets(params, title, checksum, class_names, contents, **parameters)


def _find_splits(root: Path, setting: str) -> tuple[str, str] | None:
    """Names of the folders of training and test images, or None where the folders are classes."""
    folders = _folders_in(root)
    named = {split: [name for name in folders if name.lower() == split] for split in ("train", "test")}
    if not all(named.values()):
        # a class may be called "train" or "test tube", but then its images lie in it and not in folders of their own
        words = {name: match.lastgroup for name in folders if (match := SPLIT.search(name.lower()))}
        for split in named:
            named[split] = [name for name in words if words[name] == split and _holds_only_folders(root / name)]
    train, test = named["train"], named["test"]
    if len(train) == len(test) == 1:
        if others := [name for name in folders if name not in (*train, *test)]:
            _log.warning("%s: only %s and %s are read, not %s", setting, *train, *test, ", ".join(others))
        return train[0], test[0]
    if train and test:
        found = ", ".join(train + test)
        raise UserError(
            f"{setting}: {found} all seem to hold training or test images; name those to be read train and test"
        )
    if train or test:
        first, other = (train + test)[0], "test" if train else "train"
        raise UserError(
            f"{setting}: has {first}/<class>/ but no {other}/; name the folder of {other} images {other}, or give "
            f"ingest.path={root / first} to have part of it drawn for the test"
        )
    return None


def _folders_in(folder: Path) -> list[str]:
    """Sorted, without hidden ones and those that archivers leave (``__MACOSX``)."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _holds_only_folders(folder: Path) -> bool:
    """Return whether the folder has sub-folders and no image beside them."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in image_extensions() and not p.name.startswith(".")]
    return not any(p.is_file() for p in files) and bool(_folders_in(folder))


def _list_classes(root: Path, split: str, setting: str) -> Files:
    """Files of each class folder in ``root/split``; raises UserError unless two or more, all with images."""
    where = _where(split, setting)
    names = _folders_in(root / split)
    if len(names) < 2:
        what = f"one class only ({names[0]})" if names else "no class folders"
        remedy = suggest_source(root, "folder") or "sort the images into two or more class folders"
        raise UserError(f"{where}: {what}; {remedy}")
    holders: dict[str, str] = {}
    for name in names:
        for inner in _folders_in(root / split / name) if _holds_only_folders(root / split / name) else ():
            if (other := holders.setdefault(inner, name)) != name:
                raise UserError(
                    f"{where}: {other} and {name} hold no images but folders of the same name ({inner}), so which are "
                    "the classes? If the inner ones, name the outer ones train and test; if the outer ones, move their "
                    "images up into them"
                )
    files = _list_images(root, split, setting)
    if empty := [name for name, paths in files.items() if not paths]:
        raise UserError(f"{where}: class folder {empty[0]} has no images; add some, or remove the folder")
    return files


def _where(split: str, setting: str) -> str:
    return setting if split == "." else f"{setting}: {split}/"


def _list_images(root: Path, split: str, setting: str) -> Files:
    """Files of each folder in ``root/split``, some perhaps without any."""
    files: Files = {}
    undecoded: Counter[str] = Counter()
    for name in _folders_in(root / split):
        folder = root / split / name
        found = walk_images(folder, setting)
        undecoded.update(path.suffix.lower() for path in found.foreign)
        if found.others:
            place = folder.relative_to(root).as_posix()
            _log.info("%s: %d files in %s are no images by their names, ignored", setting, len(found.others), place)
        files[name] = sorted(path.relative_to(root).as_posix() for path in found.images)
        for path in files[name]:
            if path != printable(path):
                raise UserError(
                    f"{setting}: '{printable(path)}': not a UTF-8 name, so it cannot be written into tables; rename it"
                )
    if undecoded:
        listed = ", ".join(f"{number:,} {extension}" for extension, number in sorted(undecoded.items()))
        where = _where(split, setting)
        _log.warning("%s: not read: %s (formats that are not decoded here); convert them to PNG or JPEG", where, listed)
    return files


def _list_test(root: Path, split: str, class_names: Sequence[str], setting: str) -> Files:
    files = {name: paths for name, paths in _list_images(root, split, setting).items() if paths}
    if not files:
        raise UserError(f"{setting}: {split}/ has no images in class folders; add some as {split}/<class>/")
    if unknown := [name for name in files if name not in class_names]:
        raise UserError(
            f"{setting}: {split}/ has classes without training images ({', '.join(unknown)}); name the class folders "
            "alike in both, or add training images"
        )
    return files


def _labelled(files: Files, class_names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """(paths, labels (N,)) in the order of classes."""
    numbers = [len(files.get(name, ())) for name in class_names]
    paths = tuple(path for name in class_names for path in files.get(name, ()))
    return paths, np.repeat(np.arange(len(class_names)), numbers)


def _read_images(
    root: Path, paths: Sequence[str], split: str, size: int
) -> tuple[NDArray[np.uint8], dict[str, str | UnreadableImage]]:
    """(pixels uint8 (N, size, size, 3), path -> SHA-256 of the file, or why it cannot be read)."""
    pixels = allocate_pixels(len(paths), size, size)

    def read_image(index: int) -> str:
        with opened(root / paths[index]) as stream:
            pixels[index] = decode_square_rgb(stream, size)
            stream.seek(0)
            return sha256_of(stream.read())

    _log.info("reading %s %s images", f"{len(paths):,}", split)
    digests = {}
    with large_images_allowed(), progress_bar(f"reading {split} images", len(paths)) as bar:
        found = map_images(read_image, range(len(paths)), sizes_of(root / path for path in paths))
        for path, digest in zip(paths, found, strict=True):
            digests[path] = digest
            bar.advance()
    return pixels, digests
