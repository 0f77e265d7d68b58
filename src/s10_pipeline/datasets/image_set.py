"""Labelled images, their pixels stored once whatever the number of versions."""

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

# Fields of an image set that a version names only where they are known.
OPTIONAL_ARRAYS = ("groups", "validation")


class ImageSetDataset(AtomicDataset[ImageSet]):
    """A small JSON file a version, which names arrays in a store by the digest of their content.

    A rerun that yields the same pixels adds only the JSON file. Pixels come back memory-mapped.

    Examples:
        .. code-block:: yaml

            train_images:
              type: s10_pipeline.datasets.image_set.ImageSetDataset
              filepath: data/02_intermediate/train_images.json
              versioned: true

        >>> dataset = ImageSetDataset(filepath="train_images.json")  # doctest: +SKIP
        >>> dataset.save(image_set)  # doctest: +SKIP
        >>> dataset.load().images_nhwc.shape  # doctest: +SKIP

    The store is the folder ``arrays`` beside ``filepath``; datasets in one folder share it.
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
        """Where the files of all versions lie."""
        return self.filepath.parent / "arrays"

    def shared_files(self, path: str) -> list[str]:
        """Files that the version at ``path`` needs besides; other versions may name them too."""
        manifest = self._manifest(path)
        names = ("images", "labels", "paths", *OPTIONAL_ARRAYS)
        return [str(self.shared_folder / manifest[name]) for name in names if manifest.get(name)]

    def origin_of(self, path: str) -> str | None:
        """Return title and checksum of what the version at ``path`` was read from; None if a stage made it."""
        source = self._manifest(path)["source"]
        checksum = source.get("checksum")
        return f"{source.get('title', source.get('name'))}, checksum {checksum}" if checksum else None

    def describe(self) -> dict[str, Any]:
        """Return everything but the pixels, which are not read."""
        manifest = self._manifest(str(load_path(self)))
        return {k: manifest[k] for k in ("num_images", "image_size", "class_names", "source")}

    def preview(self) -> ImagePreview:
        """Draw 60 images, ten a row, at even distances through the classes: a PNG in base64, of fewer some twice."""
        from ..vision.report.embedding import picture_uri

        images = self.load()
        chosen = np.argsort(images.labels, kind="stable")[np.linspace(0, len(images) - 1, 60).astype(int)]
        height, width = images.image_size
        grid = images.images_nhwc[chosen].reshape(6, 10, height, width, 3).swapaxes(1, 2)
        step = 1 + height // 100  # every second pixel of 100 to 199, and so on
        picture = grid.reshape(6 * height, 10 * width, 3)[::step, ::step]
        return ImagePreview(picture_uri(picture).partition(",")[2])

    def _manifest(self, path: str) -> Any:
        with self._local(path) as local:
            return json.loads(local.read_text(encoding="utf-8"))

    def _store(self, content: NDArray[Any] | bytes) -> str:
        """Store an array as .npy, or JSON, under the digest of its content; returns the file's name."""
        name = _name_of(content)
        if not self._fs.exists(str(self.shared_folder / name)):
            if isinstance(content, bytes):
                self._write(str(self.shared_folder / name), lambda file: file.write(content))
            else:
                self._write(str(self.shared_folder / name), lambda file: np.save(file, content))
        return name

    def _local_copy(self, name: str) -> Path:
        """A local file of the store; of a remote one a copy that lasts as long as the process.

        Raises:
            UserError: the stored file is damaged.
        """
        remote = str(self.shared_folder / name)
        if self._protocol == "file":
            return regular_file(remote)
        copy = Path(_folder_of_copies().name) / name
        for fetch in (False, True):
            if fetch:
                with replacing(copy) as partial:
                    self._fs.get_file(remote, str(partial))
            with suppress(OSError, ValueError, EOFError):  # whoever cleans the temporary folder may leave anything
                content = np.load(copy, mmap_mode="r") if name.endswith(".npy") else copy.read_bytes()
                if _name_of(content) == name:
                    return copy
        raise UserError(f"{remote}: damaged, its content is not that of its name; remove it and run the stage again")


def _name_of(content: NDArray[Any] | bytes) -> str:
    """File name in the store, by a digest of the content."""
    if isinstance(content, bytes):
        return f"{sha256_of(content)}.json"
    return f"{sha256_of(f'{content.dtype} {content.shape}'.encode(), np.ascontiguousarray(content))}.npy"


@functools.cache
def _folder_of_copies() -> tempfile.TemporaryDirectory[str]:
    """A folder that nobody else can write to or read (mode 700), gone with the process."""
    return tempfile.TemporaryDirectory(prefix="s10_pipeline-arrays-")
