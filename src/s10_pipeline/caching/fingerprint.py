"""What a node's result depends on, and in words what changed."""

import dataclasses
import functools
import inspect
import json
import platform
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from .contents import Content, Memo
from .functions import Functions, digest_of
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
        describe_device: for the records, what computed; called after a node has run, with its parameters.
    """

    package: str
    harmless_parameters: tuple[str, ...] = ()
    only_parameters: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    path_parameters: tuple[str, ...] = ()
    harmless_inputs: tuple[str, ...] = ()
    harmless_libraries: tuple[str, ...] = ()
    describe_device: Callable[[dict[str, Any]], str] = lambda parameters: platform.machine()

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
    return digest_of(parts)


class Fingerprinter:
    """Finds out the parts of nodes' fingerprints."""

    def __init__(self, rules: Rules, memo: Memo) -> None:
        self._rules, self._memo = rules, memo
        self._functions = Functions(rules.package, memo)
        self._code = functools.cache(self._functions.code_of)

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
            "libraries": {
                name: self._functions.version(name)
                for name in code["libraries"]
                if name not in self._rules.harmless_libraries
            },
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
        return bool(self._code(node.func)["digest"] != self._functions.code_of(node.func)["digest"])


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
                # no name where its list is lost, or where only values bound to the function differ
                changes += [f"code of {n}" for n in names] if old_pieces and names else ["its code changed"]
            else:
                changes.append(f"its {name} in the pipeline changed")
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return ", ".join(changes[:most]) + more


def _shorten(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
