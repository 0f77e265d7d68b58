"""The command-line option ``--params``: converts the text of each value to its parameter's type in a pydantic model."""

import json
import re
import shlex
from contextlib import suppress
from typing import Any

import click
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from yaml import YAMLError

from ...identity.affects import declared_fields

# Regular expression for the first item of "NAME=VALUE,NAME=VALUE". A name may have dots. As in CSV, a value that
# contains a comma is quoted, and quotes in the value are doubled.
NAME, QUOTED = r"[^=,\s.]+(?:\.[^=,\s.]+)*", r""" "(?:[^"]|"")*"|'(?:[^']|'')*' """.strip()
ITEM = re.compile(rf"\s*({NAME})=(?:({QUOTED})|([^,]*))(?:,(.*))?", re.DOTALL)


class Params(click.Option):
    """The option ``--params``. It may be repeated; the last value of a parameter counts.

    Parameters from the file of ``--config`` are kept, except those that ``--params`` sets.

    Args:
        model: pydantic model of all parameters. If a parameter's type accepts text, the value is used as typed;
            otherwise it is parsed as YAML. For parameters that the model does not have, a quoted value is text.
    """

    def __init__(self, model: Any = None) -> None:
        help_text = "Parameters as NAME=VALUE,NAME=VALUE; may be repeated. Quote commas; for lists, use --config."
        self._model = model
        super().__init__(["--params"], type=click.UNPROCESSED, multiple=True, callback=self._merge, help=help_text)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        # Without ``--params``, click passes the dictionary from the file of ``--config``, which ``_merge`` adds anyway.
        return () if isinstance(value, dict) else super().type_cast_value(ctx, value)

    def _merge(self, ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
        merged = OmegaConf.create((ctx.default_map or {}).get("params", {}))
        for value in given:
            for name, text, is_quoted in _split(value):
                typed = _literally(_typed(text, is_quoted, self._declared(name)))
                OmegaConf.update(merged, name, typed, force_add=True)
        return dict(OmegaConf.to_container(merged))  # type: ignore[arg-type]

    def _declared(self, name: str) -> Any:
        """Return the type of a parameter with this dotted name; None if the model has no such parameter."""
        fields = [*declared_fields(self._model, name)]
        return fields[-1].annotation if len(fields) == len(name.split(".")) else None


def spell(parameters: dict[str, Any]) -> str:
    """Return the ``--params`` option for these parameters (dotted name -> value), quoted for a shell."""
    items = []
    for name, value in parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if "," in text or text[:1] in ('"', "'") or value == "null":
            text = '"{}"'.format(text.replace('"', '""'))
        items.append(f"{name}={text}")
    return f"--params={shlex.quote(','.join(items))}"


def _split(text: str) -> list[tuple[str, str, bool]]:
    """Split ``NAME=VALUE,NAME=VALUE`` into items (name, value, whether it was quoted).

    Raises:
        ClickException: a part between commas is not of the form ``NAME=VALUE``.
    """
    items: list[tuple[str, str, bool]] = []
    rest: str | None = text or None
    while rest is not None:
        match = ITEM.fullmatch(rest)
        if match is None:
            remedy = "give a name and a value, such as --params=train.epochs=5"
            if items:
                remedy = f"use a decimal point, or quote commas: {spell({items[-1][0]: f'{items[-1][1]},{rest}'})}"
            raise click.ClickException(f"--params={text}: {rest!r} is not of the form NAME=VALUE; {remedy}")
        name, quoted, plain, rest = match.groups()
        value = quoted[1:-1].replace(quoted[0] * 2, quoted[0]) if quoted else plain
        items.append((name, value, bool(quoted)))
    return items


def _typed(text: str, is_quoted: bool, declared: Any) -> Any:
    """Convert a typed text to a value; ``declared`` is the parameter's type, or None if unknown.

    If the type accepts text, the text is used unchanged, because YAML would read a folder name such as ``2024_01`` as
    the number 202401.
    """
    if text == "null" and not is_quoted:
        return None
    with suppress(ValidationError):
        # Use the text unchanged if the parameter's type accepts a JSON string in strict mode. Types such as str, Path
        # and Literal do; number types do not.
        TypeAdapter(declared or (str if is_quoted else None)).validate_json(json.dumps(text), strict=True)
        return text
    if re.fullmatch(r"[+-]?0\d{1,99}", text):
        return int(text)  # YAML 1.1 would read 010 as the octal number 8
    parsed = None
    # Keep the text if it cannot be parsed as YAML. A YAML list that contains itself raises RecursionError.
    with suppress(YAMLError, OmegaConfBaseException, RecursionError):
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[call-overload,index]
    return text if parsed is None else parsed


def _literally(value: Any) -> Any:
    """Escape ``${`` and ``???`` in a parameter's text, so that OmegaConf does not interpret them."""
    if value == "???":  # OmegaConf's mark for a missing value
        return "${oc.decode:'\"???\"'}"
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value
