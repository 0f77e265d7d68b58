"""``--params``: what is typed becomes a value of the type that the parameter declares."""

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

# NAME=VALUE and, behind a comma, the rest. As in CSV, a value with a comma stands in quotes, and such a quote in it is
# doubled.
ITEM = re.compile(
    r"""\s*(?P<name>[^=,\s]+)\s*=(?:(?P<quoted>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<plain>[^,]*))(?:,(?P<rest>.*))?""",
    re.DOTALL,
)


class Params(click.Option):
    """``--params``, which may be repeated: the last one wins where several name the same parameter.

    Args:
        model: pydantic model of all parameters. A parameter declared as text takes the text as it is typed; others take
            what the type makes of it, or what YAML makes of it where that fits. Undeclared ones are read as YAML.
    """

    def __init__(self, model: Any = None) -> None:
        help_text = "Parameters as NAME=VALUE,NAME=VALUE; may be repeated. Commas need quotes; lists, a file: --config."
        self._model = model
        super().__init__(["--params"], type=click.UNPROCESSED, multiple=True, callback=self._merge, help=help_text)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        # --config hands over a dictionary that was read from YAML
        return (value,) if isinstance(value, dict) else super().type_cast_value(ctx, value)

    def _merge(self, ctx: click.Context, param: click.Parameter, given: tuple[Any, ...]) -> dict[str, Any]:
        merged = OmegaConf.create()
        for value in given:
            for name, text, is_quoted in [] if isinstance(value, dict) else _split(value):
                inner = _typed(text, is_quoted, self._declared(name))
                for part in reversed(name.split(".")):
                    inner = {part: inner}
                merged.merge_with(inner)
            merged.merge_with(value if isinstance(value, dict) else {})
        return dict(OmegaConf.to_container(merged))  # type: ignore[arg-type]

    def _declared(self, name: str) -> Any:
        """Return the type of a parameter (its dotted name); None where the model has none of that name."""
        declared = self._model
        for key in name.split("."):
            field = getattr(declared, "model_fields", {}).get(key)
            declared = field.annotation if field else None
        return declared


def spell(parameters: dict[str, Any]) -> str:
    """Return the option that gives these parameters (dotted name -> JSON-able value), quoted for a shell."""
    items = []
    for name, value in parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if "," in text or text[:1] in ('"', "'") or value == "null":
            text = '"{}"'.format(text.replace('"', '""'))
        items.append(f"{name}={text}")
    return f"--params={shlex.quote(','.join(items))}"


def _split(text: str) -> list[tuple[str, str, bool]]:
    """Return (name, value, whether it was quoted) of each item.

    Raises:
        ClickException: a part between commas that is no ``NAME=VALUE``.
    """
    items: list[tuple[str, str, bool]] = []
    rest: str | None = text or None
    while rest is not None:
        match = ITEM.fullmatch(rest)
        if match is None:
            remedy = "give a name and a value, such as train.epochs=5"
            if items:
                remedy = f"a value with a comma stands in quotes: {spell({items[-1][0]: f'{items[-1][1]},{rest}'})}"
            raise click.ClickException(f"--params={text}: {rest!r} is not of the form NAME=VALUE; {remedy}")
        quoted, rest = match["quoted"], match["rest"]
        value = quoted[1:-1].replace(quoted[0] * 2, quoted[0]) if quoted else match["plain"]
        items.append((match["name"], value, bool(quoted)))
    return items


def _typed(text: str, is_quoted: bool, declared: Any) -> Any:
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[call-overload,index]
    except (YAMLError, OmegaConfBaseException, RecursionError):  # the last: a list may hold itself
        parsed = text
    if declared is None:
        return _literally(text if is_quoted else parsed)
    null = [None] if text == "null" and not is_quoted else []
    for candidate in (*null, text, text if parsed is None else parsed):
        with suppress(ValidationError):
            value = TypeAdapter(declared).validate_python(candidate)
            return _literally(
                parsed if candidate is parsed or parsed == value else value
            )  # -1 is shown as -1, not -1.0
    return _literally(text)


def _literally(value: Any) -> Any:
    """Return what stands for a text where OmegaConf, which merges parameters, would put another in its place."""
    if value == "???":  # its sign for a missing value
        return "${oc.decode:'\"???\"'}"
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value
