"""Read the user's own images from one folder per class."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...errors import UserError
from ..image_files import image_extensions, listing, printable, walk_images
from ..image_set import ImageSet
from ..params import IngestParams
from .assembly import assemble, read_files
from .suggestion import source_folder, suggest_source

_log = logging.getLogger(__name__)

# Recognises names of split folders, in lower case: training, seg_train, test_set, testdata, valid, validation_set, ...
SPLIT = re.compile(
    r"(?<![a-z])(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?)|(?P<test>test(?:ing)?))"
    r"(?:set|data|images)?(?![a-z])"
)

# Class name -> paths of its files, relative to the source's folder, with "/" on every system; names and paths sorted.
Files = dict[str, list[str]]


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images from the class folders in ``params.path``, sorted by class and path.

    ``params.path`` holds ``train/<class>/...`` and ``test/<class>/...``, ``val/<class>/...`` or both; or only
    ``<class>/...``. Split folders may have other names with the usual words (:data:`SPLIT`). Without test images, the
    share ``params.test_fraction`` of each class, at least one image, is held out at random with ``params.seed``.

    Sub-folders of a class are searched too, but links to folders are not followed. Hidden files and folders, and files
    without the extension of an image, are skipped; unsupported picture formats are reported.

    Raises:
        UserError: the folder has another layout, fewer than two classes, or a class without images; a folder or image
            cannot be read.
    """
    root, setting = source_folder(params, "give a folder with train/<class>/ and test/<class>/, or <class>/ alone")
    with listing(setting):
        folders = _find_splits(root, setting) or {"train": "."}
        files = {"train": _list_classes(root, folders.pop("train"), setting)}
        class_names = tuple(files["train"])
        files |= {split: _list_held_out(root, name, class_names, setting) for split, name in folders.items()}
    found = [
        (path, label, split)
        for split, by_class in files.items()
        for label, name in enumerate(class_names)
        for path in by_class.get(name, ())
    ]
    rows = pd.DataFrame(found, columns=["place", "label", "split"])
    title = f"{root.resolve().name}: a folder of images"
    return assemble(params, rows, class_names, read_files(root, rows, params.image_size), lambda: title, {})


def _find_splits(root: Path, setting: str) -> dict[str, str] | None:
    """Find the folders in ``root`` that hold train, validation or test images.

    Returns:
        split -> folder name, with at least train and one other split; None if the folders in ``root`` are classes.

    Raises:
        UserError: one split has several folders, there is a folder of training or test images alone, or images lie
            directly in split folders.
    """
    folders = _folders_in(root)
    words = {name: match.lastgroup for name in folders if (match := SPLIT.search(name.lower()))}
    # a class may be named "train" or "test tube", so a folder counts as a split only if it directly contains folders
    # but no images
    named = {
        split: [name for name in words if words[name] == split and _holds_only_folders(root / name)]
        for split in ("train", "val", "test")
    }
    exact = {split: [name for name in folders if name.lower() == split] for split in ("train", "test")}
    if all(exact.values()):
        named |= exact
    found = [name for names in named.values() for name in names]
    if named["train"] and len(found) > 1:
        if max(map(len, named.values())) > 1:
            raise UserError(
                f"{setting}: {', '.join(found)} all look like split folders; keep only one for each of train, val, test"
            )
        if others := [name for name in folders if name not in found]:
            _log.warning("%s: reading only the split folders %s, not %s", setting, ", ".join(found), ", ".join(others))
        return {split: names[0] for split, names in named.items() if names}
    loose = [name for name in folders if name not in found and _loose_images(root / name)]
    if loose and len(set(words.values())) > 1 and all(SPLIT.fullmatch(name.lower()) for name in folders):
        raise UserError(
            f"{setting}: {', '.join(folders)} look like split folders, but images lie directly in "
            f"{', '.join(loose)}; sort these images into class folders, or remove them"
        )
    if found:
        present, missing = found[0], "test" if named["train"] else "train"
        raise UserError(
            f"{setting}: the folder has {present}/<class>/ but no {missing}/; rename the folder of {missing} images to "
            f"{missing}, or give ingest.path={root / present} to hold out part of its images for the test"
        )
    return None


def _folders_in(folder: Path) -> list[str]:
    """Return sorted names of sub-folders, without hidden ones and the one that archivers leave (``__MACOSX``)."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _holds_only_folders(folder: Path) -> bool:
    """Return whether the folder has sub-folders and directly contains no image."""
    return not _loose_images(folder) and bool(_folders_in(folder))


def _loose_images(folder: Path) -> list[Path]:
    """Return the image files that lie directly in the folder, without hidden ones."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in image_extensions() and not p.name.startswith(".")]
    return [p for p in files if p.is_file()]


def _list_classes(root: Path, split: str, setting: str) -> Files:
    """Return the image files of each class in ``root/split``, the folder of training images.

    Raises:
        UserError: there are fewer than two class folders, or one is empty; or folders may be either splits or classes.
    """
    where = _where(split, setting)
    names = _folders_in(root / split)
    if len(names) < 2:
        one_or_none = f"one class only ({names[0]})" if names else "no class folders"
        remedy = suggest_source(root, "folder") or "sort the images into two or more class folders"
        raise UserError(f"{where}: needs two or more class folders, but has {one_or_none}; {remedy}")
    holders: dict[str, str] = {}
    for outer in names:
        for inner in _folders_in(root / split / outer) if _holds_only_folders(root / split / outer) else ():
            if (first := holders.setdefault(inner, outer)) != outer:
                raise UserError(
                    f"{where}: {first} and {outer} contain no images, only folders of the same name ({inner}), so it "
                    f"is unclear which are the classes; if {inner} is a class, name the outer folders train and test, "
                    "else move their images directly into them"
                )
    files = _list_images(root, split, setting)
    if empty := [name for name, paths in files.items() if not paths]:
        raise UserError(f"{where}: class folder {empty[0]} has no images; add some, or remove the folder")
    return files


def _where(split: str, setting: str) -> str:
    return setting if split == "." else f"{setting}: {split}/"


def _list_images(root: Path, split: str, setting: str) -> Files:
    """Return the image files of each class folder in ``root/split``, and log which files are ignored."""
    files: Files = {}
    undecoded: Counter[str] = Counter()
    where = _where(split, setting)
    if loose := _loose_images(root / split):
        _log.warning("%s: ignored images outside class folders (%d); move them into class folders", where, len(loose))
    for name in _folders_in(root / split):
        folder = root / split / name
        found = walk_images(folder, setting)
        undecoded.update(path.suffix.lower() for path in found.foreign)
        if found.others:
            place = folder.relative_to(root).as_posix()
            _log.info("%s: ignored %d files in %s that have no image file extension", setting, len(found.others), place)
        files[name] = sorted(path.relative_to(root).as_posix() for path in found.images)
        for path in files[name]:
            if path != printable(path):
                raise UserError(
                    f"{setting}: '{printable(path)}': not a UTF-8 name, so it cannot be written into tables; rename it"
                )
    if undecoded:
        listed = ", ".join(f"{number:,} {extension}" for extension, number in sorted(undecoded.items()))
        _log.warning("%s: ignored files in unsupported formats (%s); convert them to PNG or JPEG", where, listed)
    return files


def _list_held_out(root: Path, split: str, class_names: Sequence[str], setting: str) -> Files:
    files = {name: paths for name, paths in _list_images(root, split, setting).items() if paths}
    if not files:
        raise UserError(f"{setting}: {split}/ has no images in class folders; add some as {split}/<class>/")
    if unknown := [name for name in files if name not in class_names]:
        raise UserError(
            f"{setting}: {split}/ has classes without training images ({', '.join(unknown)}); use the same names of "
            "class folders as for training, or add training images"
        )
    return files
