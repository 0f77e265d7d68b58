"""What a node's result depends on, and in words what changed."""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from kedro.io.core import is_parameter
from kedro.pipeline import Node, Pipeline
from kedro.validation.type_extractor import TypeExtractor
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from .code import Reach
from .contents import PENDING, Content, Memo
from .records import Parts
from .source import Package


@dataclass(frozen=True)
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
    only_parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    path_parameters: tuple[str, ...] = ()
    harmless_inputs: tuple[str, ...] = ()
    harmless_libraries: tuple[str, ...] = ()
    describe: Callable[[dict[str, Any]], dict[str, Any]] = lambda parameters: {}

    def decides(self, node: str, parameter: str) -> bool:
        groups = set(accumulate(parameter.split("."), "{}.{}".format))  # a, a.b and a.b.c of a.b.c
        only = self.only_parameters.get(node, groups)
        return not groups.isdisjoint(only) and groups.isdisjoint(self.harmless_parameters)

    def is_input(self, dataset: str) -> bool:
        return not is_parameter(dataset) and dataset not in self.harmless_inputs


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
            "wiring": to_jsonable_python(wiring),
        }

    def parameters(self, node: Node, catalog: Any) -> dict[str, Any]:
        """Every parameter that a node is handed, by its dotted name."""
        found: dict[str, Any] = {}
        types = TypeExtractor({"": Pipeline([node])}).extract_types_from_pipelines()
        for dataset in filter(is_parameter, node.inputs):
            name = dataset.removeprefix("parameters").removeprefix("params:")
            value = stored.load() if (stored := catalog.get(dataset)) else None
            if name in types:
                # defaults count as if they were written out; of pipelines not asked for Kedro leaves them out
                value = TypeAdapter(types[name]).validate_python(value)
            found |= _leaves(to_jsonable_python(value, fallback=str), name)
        return found

    def code_now(self, func: Callable[..., Any]) -> dict[str, Any]:
        """``pieces`` that it reaches, ``libraries`` that they name, ``function``: what it consists of."""
        folder = Path(str(sys.modules[self._rules.package].__file__)).parent
        stamp = f"{sys.version} {self._memo.digest(str(folder))}"
        function = _consists_of(func)

        def walk() -> dict[str, Any]:
            starts = [(part[0], part[1]) for part in function if isinstance(part, list)]
            reach = Reach(self._package(stamp, folder), *starts)
            libraries = sorted(reach.libraries - sys.stdlib_module_names)
            return {"pieces": reach.pieces, "libraries": libraries, "function": function}

        found: dict[str, Any] = self._memo.recall(f"code of {function}", stamp, walk)
        return found

    def _version(self, library: str) -> str | None:
        """Of the distribution that installs this import name."""
        places = [[path, os.stat(path).st_mtime_ns] for path in sys.path if os.path.isdir(path)]
        found = self._memo.recall("distributions", places, metadata.packages_distributions)
        return metadata.version(found[library][0]) if library in found else None


def _consists_of(value: Any) -> list[Any]:
    """[module, name] of the functions and classes in a callable, and texts of values bound to it (partial, closure)."""
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


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What nested dictionaries hold, by dotted names."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}".removeprefix("."))
    else:
        yield name, value


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
