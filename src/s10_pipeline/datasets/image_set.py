"""Labelled images, their pixels stored once whatever the number of versions."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..staleness.kedro_internals import JSONPreview, load_path
from ..vision.data.image_set import ImageSet, content_digest
from .atomic import AtomicDataset

CHUNK_IMAGES = 1024


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

    @property
    def _store(self) -> PurePosixPath:
        return self.filepath.parent / "arrays"

    def encode(self, data: ImageSet) -> bytes:
        manifest = {
            "num_images": len(data),
            "image_size": data.image_size,
            "class_names": data.class_names,
            "source": data.source,
            "digest": content_digest(data),
            "images": self._store_array(data.images_nhwc),
            "labels": self._store_array(data.labels),
            "paths": None if data.paths is None else self._store_bytes(json.dumps(data.paths).encode(), ".json"),
        }
        return json.dumps(manifest, indent=1).encode()

    def read(self, path: Path) -> ImageSet:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        paths = None
        if manifest["paths"] is not None:
            paths = tuple(json.loads(self._local_copy(manifest["paths"]).read_text(encoding="utf-8")))
        return ImageSet(
            images_nhwc=np.load(self._local_copy(manifest["images"]), mmap_mode="r"),
            labels=np.load(self._local_copy(manifest["labels"])),
            class_names=tuple(manifest["class_names"]),
            paths=paths,
            source=manifest["source"],
            digest=manifest["digest"],
        )

    @property
    def shared_folder(self) -> str:
        """Where the files of all versions lie."""
        return str(self._store)

    def shared_files(self, path: str) -> list[str]:
        """Files that the version at ``path`` needs besides; other versions may name them too."""
        with self._local(path) as local:
            manifest = json.loads(local.read_text(encoding="utf-8"))
        return [str(self._store / manifest[key]) for key in ("images", "labels", "paths") if manifest[key]]

    def origin_of(self, path: str) -> str:
        """Return title and checksum of what the version at ``path`` was read from."""
        with self._local(path) as local:
            source = json.loads(local.read_text(encoding="utf-8"))["source"]
        return f"{source.get('title', source['name'])}, checksum {source['checksum']}"

    def preview(self) -> JSONPreview:
        """Everything but the pixels."""
        with self._local(str(load_path(self))) as local:
            manifest = json.loads(local.read_text(encoding="utf-8"))
        return JSONPreview(json.dumps({k: manifest[k] for k in ("num_images", "image_size", "class_names", "source")}))

    def _store_array(self, array: NDArray[Any]) -> str:
        """Store as .npy under the digest of its content; returns the file's name."""
        sha = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), CHUNK_IMAGES):
            sha.update(np.ascontiguousarray(array[start : start + CHUNK_IMAGES]).data)
        name = f"{sha.hexdigest()}.npy"
        if not self._fs.exists(str(self._store / name)):
            with tempfile.TemporaryDirectory(dir=self._scratch()) as folder:
                whole = Path(folder) / name
                mapped = np.lib.format.open_memmap(whole, mode="w+", dtype=array.dtype, shape=array.shape)
                for start in range(0, len(array), CHUNK_IMAGES):
                    mapped[start : start + CHUNK_IMAGES] = array[start : start + CHUNK_IMAGES]
                mapped.flush()
                del mapped
                self._move_into_store(whole, name)
        return name

    def _store_bytes(self, content: bytes, suffix: str) -> str:
        name = hashlib.sha256(content).hexdigest() + suffix
        if not self._fs.exists(str(self._store / name)):
            self._write(str(self._store / name), content)
        return name

    def _scratch(self) -> str | None:
        """Where whole files are made: beside the store, so that moving in is a rename; anywhere for a remote one."""
        if self._protocol != "file":
            return None
        Path(self._store).mkdir(parents=True, exist_ok=True)
        return str(self._store)

    def _move_into_store(self, whole: Path, name: str) -> None:
        target = str(self._store / name)
        if self._protocol == "file":
            os.replace(whole, target)
        else:
            self._fs.makedirs(str(self._store), exist_ok=True)
            self._fs.put(str(whole), target)

    def _local_copy(self, name: str) -> Path:
        """A local file of the store; of a remote one a copy in the temporary folder, kept for the next load."""
        remote = str(self._store / name)
        if self._protocol == "file":
            return Path(remote)
        cached = Path(tempfile.gettempdir()) / "s10_pipeline-arrays" / name
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
                self._fs.get(remote, str(Path(folder) / name))
                shutil.move(str(Path(folder) / name), cached)
        return cached
