"""Compute the fingerprint of a node: the code, parameters, inputs, files and libraries that its result depends on."""

import functools
import inspect
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.io.core import is_parameter
from kedro.pipeline import Node, Pipeline
from kedro.validation.type_extractor import TypeExtractor
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

from ..identity.affects import can_change
from ..identity.differences import Parts, flatten
from ..identity.digests import Memo, digest_of
from ..identity.reach import Reach
from ..identity.source import Package
from .contents import Content
from .kedro_internals import wiring_of

# Set of stored datasets, each as (dataset name, version).
Versions = set[tuple[str, str]]


@dataclass(frozen=True)
class Rules:
    """A project's rules for what can change a node's result. Whatever the rules do not exclude can change the result.

    Attributes:
        package: importable name of the project's package.
        parameters: pydantic model of all parameters; ``affects(...)`` at a field declares which nodes it can change.
        path_parameters: dotted names of parameters that name a file or folder; its content is fingerprinted too.
        listed_files: function that takes a node's parameters and returns further files to fingerprint, as description
            -> files.
        harmless_inputs: datasets that cannot change a result.
        harmless_libraries: import names of libraries that cannot change a result.
        describe: function that takes a node's parameters and returns further facts for its run record (device, commit);
            called after the node has run.
        remark: function that takes the catalog and a node's name and returns a text, possibly empty, that
            ``kedro stages`` adds to the line of an up-to-date node.
        unneeded: function that takes the catalog and the versions to keep and returns further paths that
            ``kedro prune`` may remove.
    """

    package: str
    parameters: type[BaseModel] | None = None
    path_parameters: tuple[str, ...] = ()
    listed_files: Callable[[dict[str, Any]], dict[str, list[Path]]] = lambda parameters: {}
    harmless_inputs: tuple[str, ...] = ()
    harmless_libraries: tuple[str, ...] = ()
    describe: Callable[[dict[str, Any]], dict[str, Any]] = lambda parameters: {}
    remark: Callable[[Any, str], str] = lambda catalog, node: ""
    unneeded: Callable[[Any, Versions], list[Path]] = lambda catalog, kept: []

    def is_input(self, dataset: str) -> bool:
        return not is_parameter(dataset) and dataset not in self.harmless_inputs


class Fingerprinter:
    """Computes the fingerprints of nodes: the code, parameters and data that their results depend on.

    The code of a function is read at the first request. The analysis is stored in ``memo`` and reused until a file of
    the package changes.
    """

    def __init__(self, rules: Rules, memo: Memo) -> None:
        self._rules, self._memo = rules, memo
        self._package = functools.lru_cache(1)(lambda stamp, folder: Package(rules.package, folder))
        self.code = functools.cache(self.code_now)
        self.version = functools.cache(self._installed)

    def parts(
        self, node: Node, catalog: Any, inputs: Mapping[str, Content], stored: Mapping[str, Any] | None = None
    ) -> Parts:
        """Return a node's fingerprint, in six groups: code, parameters, inputs, files, libraries and wiring.

        Args:
            inputs: dataset -> content that the node reads.
            stored: parameters (dotted name -> value) that replace those of the catalog.
        """
        code = self.code(node.func)
        parameters = self.parameters(node, catalog)
        parameters |= {name: value for name, value in (stored or {}).items() if name in parameters}
        decisive = {n: v for n, v in parameters.items() if can_change(self._rules.parameters, n, node.name)}
        files = [name for name in self._rules.path_parameters if decisive.get(name) is not None]
        listed = {
            name: digest_of([[str(path), self._memo.digest(str(path))] for path in paths])
            for name, paths in self._rules.listed_files(decisive).items()
        }
        libraries = [name for name in code["libraries"] if name not in self._rules.harmless_libraries]
        return {
            "code": code["pieces"],
            "parameters": decisive,
            "inputs": {name: content.digest for name, content in inputs.items()},
            "files": {name: self._memo.digest(os.path.expanduser(str(decisive[name]))) for name in files} | listed,
            "libraries": {name: self.version(name) for name in libraries},
            "wiring": to_jsonable_python({**wiring_of(node), "function": code["function"]}),
        }

    def parameters(self, node: Node, catalog: Any) -> dict[str, Any]:
        """Return all parameters that a node receives, by dotted name."""
        found: dict[str, Any] = {}
        types = TypeExtractor({"": Pipeline([node])}).extract_types_from_pipelines()
        for dataset in filter(is_parameter, node.inputs):
            name = dataset.removeprefix("parameters").removeprefix("params:")
            value = stored.load() if (stored := catalog.get(dataset)) else None
            if name in types:
                # Fill in the defaults of the pydantic model. Kedro does so only for the pipelines of the current run.
                value = TypeAdapter(types[name]).validate_python(value)
            found |= flatten(to_jsonable_python(value, fallback=str), name)
        return found

    def code_now(self, func: Callable[..., Any]) -> dict[str, Any]:
        """Find the code and libraries that a function uses, in the source files as they are now.

        Returns:
            ``pieces``: digests of the code that it reaches; ``libraries``: imported libraries; ``function``: its parts
            (:func:`_consists_of`).
        """
        folder = Path(str(sys.modules[self._rules.package].__file__)).parent
        stamp = f"{sys.version} {self._memo.digest(str(folder)) or time.time_ns()}"
        function = _consists_of(func)

        def walk() -> dict[str, Any]:
            starts = [(part[0], part[1]) for part in function if isinstance(part, list)]
            reach = Reach(self._package(stamp, folder), *starts)
            libraries = sorted(reach.libraries - sys.stdlib_module_names)
            return {"pieces": reach.pieces, "libraries": libraries, "function": function}

        found: dict[str, Any] = self._memo.get_or_compute(f"code of {function}", stamp, walk)
        return found

    def _installed(self, library: str) -> str | None:
        """Return the version of the distribution that provides this import name; None if there is none."""
        places = [[path, os.stat(path).st_mtime_ns] for path in sys.path if os.path.isdir(path)]
        found = self._memo.get_or_compute("distributions", places, metadata.packages_distributions)
        return metadata.version(found[library][0]) if library in found else None


def _consists_of(value: Any) -> list[Any]:
    """Return the functions and classes that a callable consists of, as [module, name], and the values bound to it.

    Bound values, given as ``repr``, are arguments of a partial function, values in a closure, and attributes of a
    callable object.
    """
    if not callable(value):
        return [repr(value)]
    value = inspect.unwrap(getattr(value, "__func__", value))
    is_named = inspect.isroutine(value) or inspect.isclass(value)
    if isinstance(value, functools.partial):
        bound = [value.func, *value.args, *chain(*value.keywords.items())]
    elif is_named:
        bound = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    else:
        bound = [type(value), *getattr(value, "__dict__", {}).values()]
    own = [[str(value.__module__), str(value.__qualname__).partition(".")[0]]] if is_named else []
    return own + [part for item in bound for part in _consists_of(item)]
