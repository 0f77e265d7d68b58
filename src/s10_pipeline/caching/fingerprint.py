"""What a node's result depends on, and in words what changed."""

import dataclasses
import functools
import inspect
import itertools
import json
import os
import platform
import sys
import typing
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node
from pydantic_core import to_jsonable_python

from .code import Reach
from .contents import PENDING, Content, Memo
from .records import Parts
from .source import Package


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a project knows about its stages. Whatever is not named here decides results.

    Attributes:
        package: the importable name of the project's own code.
        harmless_parameters: dotted names of parameters, or of groups, that cannot change a result.
        only_parameters: node -> the parameters that it depends on, where it is handed more.
        path_parameters: those that name a file or folder, whose content then counts.
        harmless_inputs: datasets that cannot change a result.
        harmless_libraries: import names of libraries that cannot change a result.
        describe: what else records tell of a node's run (device, commit); called after it, with its parameters.
    """

    package: str
    harmless_parameters: tuple[str, ...] = ()
    only_parameters: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    path_parameters: tuple[str, ...] = ()
    harmless_inputs: tuple[str, ...] = ()
    harmless_libraries: tuple[str, ...] = ()
    describe: Callable[[dict[str, Any]], dict[str, Any]] = lambda parameters: {}

    def decides(self, node: str, parameter: str) -> bool:
        only = self.only_parameters.get(node, (parameter,))
        return _is_among(parameter, only) and not _is_among(parameter, self.harmless_parameters)


def _is_among(name: str, groups: tuple[str, ...]) -> bool:
    return any(name == group or name.startswith(group + ".") for group in groups)


def is_parameter(dataset: str) -> bool:
    return dataset == "parameters" or dataset.startswith("params:")


class Fingerprinter:
    """Finds out what nodes' results depend on.

    Code counts as it stood when it was first asked for; its reach is remembered until a file of the package changes.
    """

    def __init__(self, rules: Rules, memo: Memo) -> None:
        self._rules, self._memo = rules, memo
        self._package = functools.lru_cache(1)(lambda stamp, folder: Package(rules.package, folder))
        self.code = functools.cache(self.code_now)
        self.version = functools.cache(self._version)

    def parts(self, node: Node, catalog: Any, inputs: Mapping[str, Content]) -> Parts:
        """All that decides what the node makes, in groups."""
        code = self.code(node.func)
        parameters = self.parameters(node, catalog)
        decisive = {name: value for name, value in parameters.items() if self._rules.decides(node.name, name)}
        files = [name for name in self._rules.path_parameters if decisive.get(name) is not None]
        libraries = [name for name in code["libraries"] if name not in self._rules.harmless_libraries]
        wiring = {"inputs": node._inputs, "outputs": node._outputs, "function": code["function"]}
        return {
            "code": code["pieces"],
            "parameters": decisive,
            "inputs": {name: content.digest for name, content in inputs.items()},
            "files": {name: self._memo.digest(os.path.expanduser(str(decisive[name]))) for name in files},
            "libraries": {name: self.version(name) for name in libraries},
            "wiring": json.loads(json.dumps(wiring)),
        }

    def parameters(self, node: Node, catalog: Any) -> dict[str, Any]:
        """Every parameter that a node is handed, by its dotted name."""
        found: dict[str, Any] = {}
        hints = _hints(node)
        for name in filter(is_parameter, node.inputs):
            stored = catalog.get(name)
            value = None if stored is None else stored.load()
            if isinstance(value, dict) and hasattr(hints.get(name), "model_validate"):
                # defaults count as if they were written out; of pipelines not asked for Kedro leaves them out
                value = hints[name].model_validate(value)
            plain = to_jsonable_python(value, fallback=str)
            found |= _flatten(plain, name.removeprefix("parameters").removeprefix("params:"))
        return found

    def code_now(self, func: Callable[..., Any]) -> dict[str, Any]:
        """``pieces`` that it reaches, ``libraries`` that they name, ``function``: what it consists of."""
        folder = Path(str(sys.modules[self._rules.package].__file__)).parent
        stamp = f"{platform.python_version()} {self._memo.digest(str(folder))}"
        function = _consists_of(func)

        def walk() -> dict[str, Any]:
            starts = [(part[0], part[1]) for part in function if isinstance(part, list)]
            reach = Reach(self._package(stamp, folder), *starts)
            libraries = sorted(reach.libraries - sys.stdlib_module_names)
            return {"pieces": dict(sorted(reach.pieces.items())), "libraries": libraries, "function": function}

        found: dict[str, Any] = self._memo.recall(f"code of {function}", stamp, walk)
        return found

    def _version(self, library: str) -> str | None:
        """Of the distribution that installs this import name."""
        try:
            return metadata.version(library)
        except metadata.PackageNotFoundError:
            places = [[p, Path(p).stat().st_mtime_ns] for p in sys.path if Path(p).is_dir()]
            found = self._memo.recall("distributions", places, metadata.packages_distributions)
            return metadata.version(found[library][0]) if library in found else None


def _consists_of(value: Any) -> list[Any]:
    """[module, name] of the functions and classes in a callable, and texts of values bound to it (partial, closure)."""
    own: list[Any] = []
    value = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    if isinstance(value, functools.partial):
        inner = [value.func, *value.args, *itertools.chain(*value.keywords.items())]
    elif inspect.isroutine(value) or inspect.isclass(value):
        own = [[str(value.__module__), str(value.__qualname__).partition(".")[0]]]
        inner = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    elif callable(value):
        inner = [type(value), *getattr(value, "__dict__", {}).values()]
    else:
        return [repr(value)]
    return own + [part for item in inner for part in _consists_of(item)]


def _hints(node: Node) -> dict[str, Any]:
    """Dataset -> type hint of the argument that takes it."""
    try:
        hints = typing.get_type_hints(node.func)
        arguments = inspect.signature(node.func).parameters
    except (TypeError, ValueError, NameError):
        return {}
    named = node._inputs if isinstance(node._inputs, dict) else dict(zip(arguments, node.inputs, strict=False))
    return {dataset: hints.get(argument) for argument, dataset in named.items()}


def _flatten(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {name: value}
    inner = [_flatten(item, f"{name}.{key}" if name else str(key)) for key, item in value.items()]
    return {key: item for found in inner for key, item in found.items()}


WORDS = {
    "parameters": "{name} {old} -> {new}",
    "files": "the content of {name} changed",
    "inputs": "{name} changed",
    "code": "code of {name}",
    "libraries": "{name} {old} -> {new}",
    "wiring": "its {name} in the pipeline changed",
}


def changes_in_words(old: Parts, new: Parts, most: int = 3) -> str:
    """What differs, the first few of it: ``train.weight_decay 0.0005 -> 0.001, code of lr_search.plot.label``."""
    changes = []
    for group, words in WORDS.items():
        before, after = old.get(group, {}), new.get(group, {})
        names = sorted({**after, **before}) if group == "code" else {**after, **before}
        for name in names:
            # as text: 3 is not 3.0, and true not 1
            told = [json.dumps(side[name]) if name in side else "nothing" for side in (before, after)]
            if told[0] != told[1] and after.get(name) != PENDING:
                short = [text.replace('"', "")[:60] for text in told]
                changes.append(words.format(name=name, old=short[0], new=short[1]))
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return ", ".join(changes[:most]) + more
