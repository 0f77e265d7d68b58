"""Kedro dataset that stores labelled images; versions with equal pixels share one file of pixels."""

import functools
import json
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..identity.atomic import replacing
from ..identity.digests import sha256_of
from ..identity.regular_files import regular_file
from ..staleness.kedro_internals import ImagePreview, load_path
from ..vision.data.image_set import ImageSet, content_digest
from ..vision.errors import UserError
from .atomic import AtomicDataset

# Fields of an image set that are stored only if they are not None.
OPTIONAL_ARRAYS = ("groups", "validation")


class ImageSetDataset(AtomicDataset[ImageSet]):
    """Stores one small JSON file per version, which names array files (pixels, labels) by digests of their content.

    A rerun that yields the same pixels adds only the JSON file. Pixels are loaded as a memory map.

    Examples:
        .. code-block:: yaml

            train_images:
              type: s10_pipeline.datasets.image_set.ImageSetDataset
              filepath: data/02_intermediate/train_images.json
              versioned: true

        >>> dataset = ImageSetDataset(filepath="train_images.json")  # doctest: +SKIP
        >>> dataset.save(image_set)  # doctest: +SKIP
        >>> dataset.load().images_nhwc.shape  # doctest: +SKIP

    The array files are in the folder ``arrays`` beside ``filepath``; datasets in one folder share these files.
    """

    def encode(self, data: ImageSet) -> bytes:
        manifest = {
            "num_images": len(data),
            "image_size": data.image_size,
            "class_names": data.class_names,
            "source": data.source,
            "digest": content_digest(data),
            "images": self._store(data.images_nhwc),
            "labels": self._store(data.labels),
            "paths": None if data.paths is None else self._store(json.dumps(data.paths).encode()),
            **{name: self._store(rows) for name, rows in data.by_row().items() if name in OPTIONAL_ARRAYS},
        }
        return json.dumps(manifest, indent=1).encode()

    def read(self, path: Path) -> ImageSet:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        paths = manifest["paths"] and json.loads(self._local_copy(manifest["paths"]).read_text(encoding="utf-8"))
        return ImageSet(
            images_nhwc=np.load(self._local_copy(manifest["images"]), mmap_mode="r"),
            labels=np.load(self._local_copy(manifest["labels"])),
            class_names=tuple(manifest["class_names"]),
            paths=tuple(paths) if paths else None,
            source=manifest["source"],
            digest=manifest["digest"],
            **{name: np.load(self._local_copy(manifest[name])) for name in OPTIONAL_ARRAYS if name in manifest},
        )

    @property
    def shared_folder(self) -> PurePosixPath:
        """Folder of array files (pixels, labels), shared by all versions of the image sets beside the folder."""
        return self.filepath.parent / "arrays"

    def shared_files(self, path: str) -> list[str]:
        """Return the array files to which the JSON file ``path`` of a version refers; other versions may share them."""
        manifest = self._manifest(path)
        names = ("images", "labels", "paths", *OPTIONAL_ARRAYS)
        return [str(self.shared_folder / manifest[name]) for name in names if manifest.get(name)]

    def origin_of(self, path: str) -> str | None:
        """Return title and checksum of the images' source from a version's JSON file; None without a checksum."""
        source = self._manifest(path)["source"]
        checksum = source.get("checksum")
        return f"{source.get('title', source.get('name'))}, checksum {checksum}" if checksum else None

    def describe(self) -> dict[str, Any]:
        """Return number, size in pixels, class names and source of the images, without reading pixels."""
        manifest = self._manifest(str(load_path(self)))
        return {k: manifest[k] for k in ("num_images", "image_size", "class_names", "source")}

    def preview(self) -> ImagePreview:
        """Return a base64 PNG for kedro-viz that shows 60 images, sorted by class and taken at even intervals.

        A row has ten images. If fewer than 60 images are stored, some are shown twice.
        """
        from ..vision.report.embedding import picture_uri

        images = self.load()
        chosen = np.argsort(images.labels, kind="stable")[np.linspace(0, len(images) - 1, 60).astype(int)]
        height, width = images.image_size
        grid = images.images_nhwc[chosen].reshape(6, 10, height, width, 3).swapaxes(1, 2)
        # Shrink the preview of large images: keep every second pixel of images that are 100 to 199 pixels high, every
        # third pixel for 200 to 299, and so on.
        step = 1 + height // 100
        picture = grid.reshape(6 * height, 10 * width, 3)[::step, ::step]
        return ImagePreview(picture_uri(picture).partition(",")[2])

    def _manifest(self, path: str) -> Any:
        with self._local(path) as local:
            return json.loads(local.read_text(encoding="utf-8"))

    def is_intact(self, file: str | Path) -> bool:
        """Return whether a local array file exists and has the content whose digest is its name."""
        with suppress(OSError, ValueError, EOFError):
            path = regular_file(file)
            return path.name == _name_of(np.load(path, mmap_mode="r") if path.suffix == ".npy" else path.read_bytes())
        return False

    def _store(self, content: NDArray[Any] | bytes) -> str:
        """Write an array or JSON into the folder ``arrays`` and return the file name.

        An existing file is kept; if it is local and damaged, it is replaced.
        """
        name = _name_of(content)
        path = str(self.shared_folder / name)
        if not (self.is_intact(path) if self._protocol == "file" else self._fs.exists(path)):
            if isinstance(content, bytes):
                self._write(path, lambda file: file.write(content))
            else:
                self._write(path, lambda file: np.save(file, content))
        return name

    def _local_copy(self, name: str) -> Path:
        """Return the local path of a file in the folder ``arrays``; a remote file is copied for this process.

        The copy is deleted when the process ends.

        Raises:
            UserError: a remote file is damaged.
        """
        remote = str(self.shared_folder / name)
        if self._protocol == "file":
            return regular_file(remote)
        copy = Path(_folder_of_copies().name) / name
        # If the local copy is missing or its digest is wrong, fetch the remote file and check the new copy.
        for fetch in (False, True):
            if fetch:
                with replacing(copy) as partial:
                    self._fs.get_file(remote, str(partial))
            if self.is_intact(copy):
                return copy
        what = "the file is damaged: its content does not have the digest in its name"
        raise UserError(f"{remote}: {what}; remove the file and run the stage again")


def _name_of(content: NDArray[Any] | bytes) -> str:
    """Return the name of a file with this content in the folder ``arrays``: the content's digest and a suffix."""
    if isinstance(content, bytes):
        return f"{sha256_of(content)}.json"
    return f"{sha256_of(f'{content.dtype} {content.shape}'.encode(), np.ascontiguousarray(content))}.npy"


@functools.cache
def _folder_of_copies() -> tempfile.TemporaryDirectory[str]:
    """Create a temporary folder that only this user can access (mode 700); it is deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="s10_pipeline-arrays-")
