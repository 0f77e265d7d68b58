"""What a node's result depends on, and in words what changed."""

import dataclasses
import functools
import hashlib
import inspect
import json
import platform
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from .code import Reach
from .contents import SETTLED_SECONDS, Content, Memo
from .modules import Package
from .records import Parts


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
        describe_device: for the records, what computed; called after a node has run.
    """

    package: str
    harmless_parameters: tuple[str, ...] = ()
    only_parameters: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    path_parameters: tuple[str, ...] = ()
    harmless_inputs: tuple[str, ...] = ()
    harmless_libraries: tuple[str, ...] = ()
    describe_device: Callable[[], str] = platform.machine

    def decides(self, node: str, parameter: str) -> bool:
        only = self.only_parameters.get(node)
        if only is not None and not _is_among(parameter, only):
            return False
        return not _is_among(parameter, self.harmless_parameters)


def _is_among(name: str, groups: tuple[str, ...]) -> bool:
    return any(name == group or name.startswith(group + ".") for group in groups)


def is_parameter(dataset: str) -> bool:
    return dataset == "parameters" or dataset.startswith("params:")


def fingerprint_of(parts: Parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Fingerprinter:
    """Finds out the parts of nodes' fingerprints."""

    def __init__(self, rules: Rules, memo: Memo) -> None:
        self._rules, self._memo = rules, memo
        self._code = functools.cache(self._code_of)

    def parts(self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: Mapping[str, Content]) -> Parts:
        """All that decides what the node makes; of inputs that nobody has made yet the digest is None."""
        parameters = self.parameters(node, catalog)
        decisive = {name: value for name, value in parameters.items() if self._rules.decides(node.name, name)}
        code = self._code(node.func)
        return {
            "code": {"digest": code["digest"]},
            "parameters": decisive,
            "inputs": {n: c.digest for n, c in inputs.items() if n not in self._rules.harmless_inputs},
            "files": {
                name: self._memo.digest(str(Path(str(value)).expanduser()))
                for name, value in decisive.items()
                if value is not None and name in self._rules.path_parameters
            },
            "libraries": {name: self._version(name) for name in code["libraries"]},
            "wiring": {"inputs": _plain(node._inputs), "outputs": _plain(node._outputs)},
        }

    def parameters(self, node: Node, catalog: CatalogProtocol[Any, Any]) -> dict[str, Any]:
        """Every parameter that a node is handed, by its dotted name."""
        found: dict[str, Any] = {}
        for dataset, hint in _hints(node):
            if is_parameter(dataset):
                stored = catalog.get(dataset)
                value = None if stored is None else stored.load()
                if isinstance(value, dict) and hasattr(hint, "model_validate"):
                    # defaults count as if they were written out; of pipelines not asked for Kedro leaves them out
                    value = hint.model_validate(value)
                prefix = dataset.removeprefix("params:") if dataset != "parameters" else ""
                found |= dict(_flatten(_plain(value), prefix))
        return found

    def pieces(self, node: Node) -> dict[str, str]:
        """Name -> digest of the code that a node reaches."""
        return dict(self._code(node.func)["pieces"])

    def code_changed(self, node: Node) -> bool:
        """Whether the source of what a node reaches is another than when it was first asked for."""
        return bool(self._code(node.func)["digest"] != self._code_of(node.func)["digest"])

    def _code_of(self, func: Callable[..., Any]) -> dict[str, Any]:
        bound: list[Any] = []
        while isinstance(func, functools.partial):
            bound.append([[repr(a) for a in func.args], {k: repr(v) for k, v in func.keywords.items()}])
            func = func.func
        func = inspect.unwrap(getattr(func, "__func__", func))
        package = Package(self._rules.package, Path(str(sys.modules[self._rules.package].__file__)).parent)
        name = getattr(func, "__qualname__", "<unknown>").partition(".")[0]
        module = getattr(func, "__module__", "")
        if package.file(module) is None:
            # of a library: its version counts
            return {"digest": f"{module}.{name} {bound}", "pieces": {}, "libraries": [module.partition(".")[0]]}
        files = sorted(p for p in package.folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
        stats = [(str(p), p.stat()) for p in files]
        stamp = [platform.python_version(), *([p, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for p, s in stats)]
        settled = time.time() - max(max(s.st_mtime, s.st_ctime) for _, s in stats) > SETTLED_SECONDS

        def walk() -> dict[str, Any]:
            known = package.module(module).bindings
            reach = Reach(package, module, name if name in known else None)
            libraries = reach.libraries - sys.stdlib_module_names - set(self._rules.harmless_libraries)
            digest = fingerprint_of({"pieces": reach.pieces, "bound": {"": bound}})
            return {"digest": digest, "pieces": reach.pieces, "libraries": sorted(libraries)}

        found: dict[str, Any] = self._memo.recall(
            f"code of {module}.{name} {bound}", fingerprint_of({"": {"": stamp}}), settled, walk
        )
        return found

    def _version(self, library: str) -> str | None:
        """Of the distribution that installs this import name."""
        try:
            return metadata.version(library)
        except metadata.PackageNotFoundError:
            places = [[p, Path(p).stat().st_mtime_ns] for p in sys.path if Path(p).is_dir()]
            found = self._memo.recall("distributions", places, True, metadata.packages_distributions)
            return metadata.version(found[library][0]) if library in found else None


def _hints(node: Node) -> Iterator[tuple[str, Any]]:
    """(dataset, type hint) of each input of a node."""
    try:
        hints = typing.get_type_hints(node.func)
        arguments = list(inspect.signature(node.func).parameters)
    except (TypeError, ValueError, NameError):
        hints, arguments = {}, []
    inputs = node._inputs or []
    named = inputs if isinstance(inputs, dict) else dict(zip(arguments, node.inputs, strict=False))
    by_dataset = {dataset: hints.get(argument) for argument, dataset in named.items()}
    yield from ((dataset, by_dataset.get(dataset)) for dataset in node.inputs)


def _plain(value: Any) -> Any:
    """As JSON would give it back."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(value, default=str))


def _flatten(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def changes_in_words(
    old: Parts, new: Parts, old_pieces: dict[str, str] | None, new_pieces: dict[str, str], most: int = 3
) -> str:
    """What differs, the first few of it: ``train.weight_decay 0.0005 -> 0.001, code of lr_search.plot.label``."""
    changes: list[str] = []
    for group in ("parameters", "files", "inputs", "code", "libraries", "wiring"):
        before, after = old.get(group, {}), new.get(group, {})
        text = [{name: json.dumps(value) for name, value in side.items()} for side in (before, after)]
        changed = [name for name in {**after, **before} if text[0].get(name) != text[1].get(name)]
        for name in changed:
            if group in ("parameters", "libraries"):
                shown = [_shorten(side.get(name, "nothing")) for side in text]
                changes.append(f"{name} {shown[0]} -> {shown[1]}".replace('"', ""))
            elif group == "files":
                changes.append(f"the content of {name} changed")
            elif group == "inputs":
                changes.append(f"{name} changed")
            elif group == "code":
                pieces = {**(old_pieces or {}), **new_pieces}
                names = [n for n in sorted(pieces) if (old_pieces or {}).get(n) != new_pieces.get(n)]
                changes += [f"code of {n}" for n in names] if old_pieces is not None else ["its code changed"]
            else:
                changes.append(f"its {name} in the pipeline changed")
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return ", ".join(changes[:most]) + more


def _shorten(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
