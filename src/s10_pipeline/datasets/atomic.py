"""What all our datasets share: a version that can be seen is whole."""

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
    """Return a path as it would be given in the current folder: kedro-viz's site names no folders above it."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)


class AtomicDataset(AbstractVersionedDataset[T, T]):
    """One file a version, written beside its place and renamed into it.

    A process that is killed while it saves leaves at most a hidden ``.partial`` file, never a version
    that a later run would take for the latest. (On object stores an upload is atomic by itself.)

    Subclasses say how an artifact becomes bytes (:meth:`encode`) and is read from a local file (:meth:`read`).

    Args:
        filepath: path or URL of the file.
        version: of Kedro; null: one file without versions.
        credentials, fs_args: passed to ``fsspec.filesystem``.
        metadata: for plug-ins, kedro-viz among them.
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
        """List where each version's file would lie; no pattern is matched, since a path may hold ``[`` or ``*``."""
        with suppress(OSError):
            return [f"{folder}/{self.filepath.name}" for folder in self._fs.ls(str(self.filepath), detail=False)]
        return []

    @abstractmethod
    def encode(self, data: T) -> bytes:
        """The file's content."""

    @abstractmethod
    def read(self, path: Path) -> T:
        """The artifact in a local file."""

    # Kedro wraps load and save of every subclass again, and would draw two versions in one save; it makes both anew
    # from _load and _save.
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
        """The file (of the version to load) where it is local, else a copy for as long as the context lasts."""
        path = path or get_filepath_str(load_path(self), self._protocol)
        if self._protocol == "file":
            yield regular_file(path)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PurePosixPath(path).name
            self._fs.get_file(path, str(copy))
            yield copy

    def _write(self, path: str, write: Callable[[IO[bytes]], object]) -> None:
        """Let ``write`` fill a file that is whole as soon as it can be seen."""
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
