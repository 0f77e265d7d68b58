"""Base class of this project's versioned Kedro datasets: readers see a version only when its file is complete."""

import os
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, TypeVar

import fsspec
from kedro.io.core import AbstractVersionedDataset, Version, get_filepath_str, get_protocol_and_path

from ..identity.atomic import replacing
from ..identity.regular_files import regular_file
from ..staleness.kedro_internals import load_path, save_path, version_of

T = TypeVar("T")


def path_from_here(path: PurePath | str) -> str:
    """Return a path relative to the current folder if inside it, so that kedro-viz shows no paths of this machine."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)


class AtomicDataset(AbstractVersionedDataset[T, T]):
    """Base class of Kedro datasets that write each version to a temporary file and then rename the file atomically.

    A process that is killed while it saves leaves at most a hidden ``.partial`` file, never an incomplete version that
    a later run would load as the latest. (Object stores upload atomically by themselves.)

    Subclasses define how an artifact is converted to bytes (:meth:`encode`) and read from a local file (:meth:`read`).

    Args:
        filepath: path or URL of the file.
        version: Kedro's version; None: a single file without versions.
        credentials, fs_args: passed to ``fsspec.filesystem``.
        metadata: data for plug-ins such as kedro-viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        protocol, path = get_protocol_and_path(filepath, version)
        self._protocol = protocol
        self._fs = fsspec.filesystem(protocol, **deepcopy(credentials or {}), **deepcopy(fs_args or {}))
        self.metadata, self.filepath = metadata, PurePosixPath(path)
        super().__init__(
            filepath=self.filepath, version=version, exists_function=self._fs.exists, glob_function=self._versions
        )

    def _versions(self, _pattern: str) -> list[str]:
        """List the file of each version, without matching patterns, because a path may contain ``[`` or ``*``."""
        with suppress(OSError):
            return [f"{folder}/{self.filepath.name}" for folder in self._fs.ls(str(self.filepath), detail=False)]
        return []

    @abstractmethod
    def encode(self, data: T) -> bytes:
        """Convert an artifact (the object to save) to the bytes of its file."""

    @abstractmethod
    def read(self, path: Path) -> T:
        """Read an artifact from a local file that holds the bytes from :meth:`encode`."""

    # Define _load and _save instead of load and save. Kedro wraps load and save again in every subclass, so that one
    # save would create two versions.
    def _load(self) -> T:
        with self._local() as local:
            return self.read(local)

    def _save(self, data: T) -> None:
        path = get_filepath_str(save_path(self), self._protocol)
        content = self.encode(data)
        self._write(path, lambda file: file.write(content))
        self._invalidate_cache()

    @contextmanager
    def _local(self, path: str | None = None) -> Iterator[Path]:
        """Yield the local file of the version to load, or a temporary copy if the file is remote."""
        path = path or get_filepath_str(load_path(self), self._protocol)
        if self._protocol == "file":
            yield regular_file(path)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PurePosixPath(path).name
            self._fs.get_file(path, str(copy))
            yield copy

    def _write(self, path: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write a file with ``write`` atomically: it becomes visible only when it is complete."""
        if self._protocol == "file":
            with replacing(Path(path)) as partial, open(partial, "wb") as file:
                write(file)
            return
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder, "whole")
            with open(whole, "wb") as file:
                write(file)
            self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            self._fs.put_file(str(whole), path)

    def _exists(self) -> bool:
        return bool(self._fs.exists(get_filepath_str(load_path(self), self._protocol)))

    def _release(self) -> None:
        super()._release()
        self._invalidate_cache()

    def _invalidate_cache(self) -> None:
        self._fs.invalidate_cache(get_filepath_str(self.filepath, self._protocol))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": path_from_here(self.filepath), "protocol": self._protocol, "version": version_of(self)}
