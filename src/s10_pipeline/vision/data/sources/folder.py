"""The user's own images: one folder per class."""

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
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
from .decoding import list_unreadable, map_images
from .description import describe_source
from .suggestion import suggest_source

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
    assert params.path is not None
    root = Path(params.path).expanduser()
    setting = f"ingest.path={printable(params.path)}"
    parameters: dict[str, Any] = {}
    with listing(setting):
        if not root.is_dir():
            what = "is a file" if root.exists() else "no such folder"
            layout = "give a folder with train/<class>/ and test/<class>/, or <class>/ alone"
            raise UserError(f"{setting}: {what}; {suggest_source(root, params.source) or layout}")
        if splits := _find_splits(root, setting):
            train_files = _list_classes(root, splits[0], setting)
            test_files = _list_test(root, splits[1], train_files, setting)
        else:
            train_files, test_files = _draw_test(_list_classes(root, ".", setting), params, setting)
            parameters = {"seed": params.seed, "test_fraction": params.test_fraction}
    class_names = tuple(train_files)
    sets = {}
    digests: dict[str, str | UnreadableImage] = {}
    for split, files in (("train", train_files), ("test", test_files)):
        paths = tuple(path for name in class_names for path in files.get(name, ()))
        labels = np.repeat(np.arange(len(class_names)), [len(files.get(name, ())) for name in class_names])
        pixels, digests_of_split = _read_images(root, paths, split, params.image_size)
        digests |= digests_of_split
        sets[split] = (pixels, labels, class_names, paths)
    if unreadable := {path: reason for path, reason in digests.items() if isinstance(reason, UnreadableImage)}:
        raise UserError(f"{setting}: {list_unreadable(unreadable)}; remove or replace what is named")
    about = (f"{root.resolve().name}: a folder of images", _checksum(digests))
    train, test = (
        ImageSet(*content, source=describe_source(params, split, *about, **parameters))
        for split, content in sets.items()
    )
    return train, test


def _find_splits(root: Path, setting: str) -> tuple[str, str] | None:
    """Names of the folders of training and test images, or None where the folders are classes."""
    folders = _folders_in(root)
    by_lower = {name.lower(): [name] for name in folders}
    named = {split: by_lower.get(split, []) for split in ("train", "test")}
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


def _holds_images(folder: Path) -> bool:
    extensions = image_extensions()
    return any(p.suffix.lower() in extensions and p.is_file() and not p.name.startswith(".") for p in folder.iterdir())


def _holds_only_folders(folder: Path) -> bool:
    return not _holds_images(folder) and bool(_folders_in(folder))


def _list_classes(root: Path, split: str, setting: str) -> Files:
    """Files of each class folder in ``root/split``; raises UserError unless two or more, all with images."""
    names = _folders_in(root / split)
    where = setting if split == "." else f"{setting}: {split}/"
    if len(names) < 2:
        what = f"one class only ({names[0]})" if names else "no class folders"
        remedy = suggest_source(root, "folder") or "sort the images into two or more class folders"
        raise UserError(f"{where}: {what}; {remedy}")
    holders: dict[str, str] = {}
    for name in filter(lambda name: _holds_only_folders(root / split / name), names):
        for inner in _folders_in(root / split / name):
            if (other := holders.setdefault(inner, name)) != name:
                raise UserError(
                    f"{where}: {other} and {name} hold no images but folders of the same name ({inner}), so which are "
                    "the classes? If the inner ones, name the outer ones train and test; if the outer ones, move their "
                    "images up into them"
                )
    files = _list_images(root, split, names, setting)
    for name, paths in files.items():
        if not paths:
            raise UserError(f"{where}: class folder {name} has no images; add some, or remove the folder")
    return files


def _list_images(root: Path, split: str, names: Sequence[str], setting: str) -> Files:
    """Files of each of these folders in ``root/split``, some perhaps without any."""
    files: Files = {}
    undecoded: Counter[str] = Counter()
    for name in names:
        found = walk_images(root / split / name, setting)
        undecoded.update(path.suffix.lower() for path in found.foreign)
        if found.others:
            place = f"{split}/{name}" if split != "." else name
            _log.info("%s: %d files in %s are no images by their names, ignored", setting, len(found.others), place)
        files[name] = sorted(path.relative_to(root).as_posix() for path in found.images)
        for path in files[name]:
            if path != printable(path):
                raise UserError(
                    f"{setting}: '{printable(path)}': not a UTF-8 name, so it cannot be written into tables; rename it"
                )
    if undecoded:
        _log.warning(
            "%s: %snot read: %s (formats that are not decoded here); convert them to PNG or JPEG",
            setting,
            "" if split == "." else f"{split}/: ",
            ", ".join(f"{number:,} {extension}" for extension, number in sorted(undecoded.items())),
        )
    return files


def _list_test(root: Path, split: str, train_files: Files, setting: str) -> Files:
    files = _list_images(root, split, _folders_in(root / split), setting)
    files = {name: paths for name, paths in files.items() if paths}
    if not files:
        raise UserError(f"{setting}: {split}/ has no images in class folders; add some as {split}/<class>/")
    if unknown := [name for name in files if name not in train_files]:
        raise UserError(
            f"{setting}: {split}/ has classes without training images ({', '.join(unknown)}); name the class folders "
            "alike in both, or add training images"
        )
    if untested := [name for name in train_files if name not in files]:
        _log.warning("%s: no test images of %s", setting, ", ".join(untested))
    return files


def _draw_test(files: Files, params: IngestParams, setting: str) -> tuple[Files, Files]:
    """(train, test): ``test_fraction`` of each class, to whole images, but at least one on either side."""
    rng = np.random.Generator(np.random.PCG64(params.seed))
    train, test = {}, {}
    for name, paths in files.items():
        if len(paths) < 2:
            raise UserError(
                f"{setting}: class {name} has a single image, and training and test need one each; add images, or give "
                "train/<class>/ and test/<class>/"
            )
        num_test = min(max(round(len(paths) * params.test_fraction), 1), len(paths) - 1)
        chosen = set(rng.permutation(len(paths))[:num_test].tolist())
        train[name] = [path for i, path in enumerate(paths) if i not in chosen]
        test[name] = [path for i, path in enumerate(paths) if i in chosen]
    return train, test


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

    mean_bytes = sum(os.path.getsize(root / path) for path in paths if os.path.exists(root / path)) / len(paths)
    _log.info("reading %s %s images", f"{len(paths):,}", split)
    with large_images_allowed(), progress_bar(f"reading {split} images", len(paths)) as bar:
        digests = []
        for digest in map_images(read_image, range(len(paths)), mean_bytes):
            digests.append(digest)
            bar.advance()
    return pixels, dict(zip(paths, digests, strict=True))


def _checksum(digests: Mapping[str, object]) -> str:
    """SHA-256 over relative paths and contents, in the order of the paths."""
    lines = "".join(f"{path}\0{digests[path]}\n" for path in sorted(digests))
    return f"sha256:{sha256_of(lines.encode())}"
