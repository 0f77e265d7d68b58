"""Print docs/parameters.md, made from the pydantic models, their docstrings and conf/: ``make docs`` saves it."""

import inspect
import json
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from pydantic import BaseModel

from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.identity.affects import Affects, declared_fields
from s10_pipeline.parameters import STAGES, Parameters

CONF = str(Path(__file__).parents[1] / "conf")
ENVIRONMENTS = ("base", "cpu", "sample", "seed")
TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
INTRODUCTION = """# Parameters

`make docs` generates this page. [Commands](commands.md#parameters) shows how to set a parameter. Each entry gives the
parameter's type and limits, its default, other values in the environments `cpu`, `sample` and `seed`, and its effect.
"Can change" names the nodes whose results the parameter can change, if other nodes read it without effect."""


def entries(model: type[BaseModel], prefix: str, values: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a list item for each parameter of a group, and of the groups in it; ``values`` are the environments'."""
    schema, texts = model.model_json_schema()["properties"], descriptions(model)
    for name, field in model.model_fields.items():
        full, inner = f"{prefix}.{name}", [value.get(name, field.default) for value in values]
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from entries(field.annotation, full, inner)
            continue
        base, *others = ["a list in `conf/`" if isinstance(v, list) and v else json.dumps(v).strip('"') for v in inner]
        changed = "".join(
            f"; environment `{e}`: {v}" for e, v in zip(ENVIRONMENTS[1:], others, strict=True) if v != base
        )
        marks = [set(m) for f in declared_fields(Parameters, full) for m in f.metadata if isinstance(m, Affects)]
        reach = f"Can change {' and '.join(sorted(set.intersection(*marks))) or 'no result'}" if marks else ""
        head = f"- `{full}` ({kind(schema[name])}; default: {base}{changed}): {texts.get(name, '')}".rstrip(": .")
        text = " ".join(" ".join(f"{part}." for part in (head, reach) if part).split())
        yield textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def kind(schema: dict[str, Any]) -> str:
    """Return a JSON schema's type, choices and limits in words."""
    if "anyOf" in schema:
        return " or ".join(map(kind, schema["anyOf"]))
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    limits = ", ".join(f"{sign} {schema[key]:,}" for key, sign in LIMITS.items() if key in schema)
    return f"{TYPES.get(schema['type'], schema['type'])} {limits}".strip()


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a model and its bases say of each field; tables become their keys."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        tables, doc = vars(inspect.getmodule(owner)), inspect.cleandoc(owner.__doc__ or "").partition("Attributes:\n")
        for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", doc[2], re.MULTILINE):
            text = re.sub(r":data:`(\w+)`", lambda m, t=tables: ", ".join(f"`{key}`" for key in t[m[1]]), text)
            text = re.sub(r":\w+:`[.~\w]*?(\w+)`", r"`\1`", text).replace("``", "`")
            found |= dict.fromkeys(names.split(", "), text)
    return found


os.environ.pop("S10_DATA_ROOT", None)  # would stand in defaults
values = [OmegaConfigLoader(CONF, env=env, **CONFIG_LOADER_ARGS)["parameters"] for env in ENVIRONMENTS]
print(INTRODUCTION)
for group, field in Parameters.model_fields.items():
    print(f"\n## {group}\n\n{inspect.cleandoc(field.annotation.__doc__).splitlines()[0]}")
    print(f"Set them in `parameters_{STAGES[group]}.yml`.\n")
    print("\n".join(entries(field.annotation, group, [value[group] for value in values])))
