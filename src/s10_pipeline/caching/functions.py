"""The code behind a node's function, as the files stand now; and the versions of the libraries that it names."""

import functools
import hashlib
import inspect
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from .code import Reach
from .contents import SETTLED_SECONDS, Memo
from .modules import Package


def digest_of(value: Any) -> str:
    """SHA-256 of something JSON-able."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Functions:
    """Reads code; what it found is remembered as long as no file of the package changes.

    Args:
        package: importable name of the code that is followed; that of others counts by its version.
    """

    def __init__(self, package: str, memo: Memo) -> None:
        self._package, self._memo = package, memo
        self.version = functools.cache(self._version)

    def code_of(self, func: Callable[..., Any]) -> dict[str, Any]:
        """``digest`` of all the code that a function reaches, its ``pieces`` and the ``libraries`` that it names."""
        package = Package(self._package, Path(str(sys.modules[self._package].__file__)).parent)
        functions, bound = _functions_in(func)
        named = [(str(f.__module__), str(f.__qualname__).partition(".")[0]) for f in functions]
        ours = [(module, name) for module, name in named if package.file(module) is not None]
        others = sorted({module.partition(".")[0] for module, _ in set(named) - set(ours)} - sys.stdlib_module_names)
        stats = package.stats()
        stamp = [platform.python_version(), *([path, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for path, s in stats)]
        settled = time.time() - max(max(s.st_mtime, s.st_ctime) for _, s in stats) > SETTLED_SECONDS

        def walk() -> dict[str, Any]:
            # a lambda has no name to be found by: its whole module counts
            reach = Reach(package, *((m, n if n in package.module(m).bindings else None) for m, n in ours))
            libraries = {*reach.libraries, *others} - sys.stdlib_module_names
            digest = digest_of([reach.pieces, bound, named])
            return {"digest": digest, "pieces": reach.pieces, "libraries": sorted(libraries)}

        found: dict[str, Any] = self._memo.recall(f"code of {named} {bound}", digest_of(stamp), settled, walk)
        return found

    def _version(self, library: str) -> str | None:
        """Of the distribution that installs this import name."""
        try:
            return metadata.version(library)
        except metadata.PackageNotFoundError:
            places = [[p, Path(p).stat().st_mtime_ns] for p in sys.path if Path(p).is_dir()]
            found = self._memo.recall("distributions", places, True, metadata.packages_distributions)
            return metadata.version(found[library][0]) if library in found else None


def _functions_in(value: Any) -> tuple[list[Any], list[str]]:
    """Functions and classes that a node's function consists of, and the values bound to it (partial, closure)."""
    own: list[Any] = []
    value = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    if isinstance(value, functools.partial):
        inner = [value.func, *value.args, *(item for pair in value.keywords.items() for item in pair)]
    elif inspect.isroutine(value) or inspect.isclass(value):
        own, inner = [value], [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    elif callable(value):
        inner = [type(value), *getattr(value, "__dict__", {}).values()]
    else:
        return [], [repr(value)]
    found = [_functions_in(item) for item in inner]
    return [*own, *(f for functions, _ in found for f in functions)], [text for _, texts in found for text in texts]
