"""A choice among names is defined once: its table, its type, the comment in YAML and the labels name the same ones."""

import re
import typing
from collections.abc import Iterator
from importlib import import_module

import pytest
from kedro.config import OmegaConfigLoader
from pydantic import BaseModel

from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.parameters import STAGES, Parameters, validate_parameters
from s10_pipeline.vision.data.faults import FAULTS
from s10_pipeline.vision.data.params import SOURCES
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.device import DEVICES
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.verdict import KINDS
from s10_pipeline.vision.explain.params import METHODS as CAM_METHODS
from s10_pipeline.vision.explain.params import SELECTIONS
from s10_pipeline.vision.lr_search.plot import COLORS
from s10_pipeline.vision.lr_search.rate import METHODS
from s10_pipeline.vision.network.params import BASIC_BLOCKS, BOTTLENECK_BLOCKS
from s10_pipeline.vision.training.schedule import SCHEDULES

TABLES = {
    "explain.method": CAM_METHODS,
    "explain.selection": SELECTIONS,
    "ingest.source": SOURCES,
    "lr_search.method": METHODS,
    "train.architecture.depth": {**BASIC_BLOCKS, **BOTTLENECK_BLOCKS},
    "train.device": DEVICES,
    "train.schedule": SCHEDULES,
}


def literals(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each parameter whose type lists the texts that it takes, and those texts."""
    for name, field in model.model_fields.items():
        hint = field.annotation
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            yield from literals(hint, f"{prefix}{name}.")
        for part in (hint, *typing.get_args(hint)):
            if typing.get_origin(part) is typing.Literal:
                yield prefix + name, [str(value) for value in typing.get_args(part)]


LITERALS = dict(literals(Parameters))
CHOICES = {**LITERALS, **{name: [str(value) for value in table] for name, table in TABLES.items()}}


@pytest.fixture(scope="module")
def values(root):
    return OmegaConfigLoader(str(root / "conf"), env="base", **CONFIG_LOADER_ARGS)["parameters"]


def with_value(values, name, value):
    group, _, rest = name.partition(".")
    return {
        **values,
        group: {**values[group], rest: value} if "." not in rest else with_value(values[group], rest, value),
    }


def test_types_list_what_the_tables_have():
    assert {"explain.method", "explain.selection", "lr_search.method"} <= set(LITERALS)
    for name in set(TABLES) & set(LITERALS):
        assert LITERALS[name] == list(TABLES[name]), name


@pytest.mark.parametrize("name", CHOICES)
def test_the_comment_in_yaml_names_every_choice(name, root):
    group, *_, key = name.split(".")
    if CHOICES[name] == ["auto"]:  # of numbers beside it there is no list
        return
    text = (root / f"conf/base/parameters_{STAGES[group]}.yml").read_text(encoding="utf-8")
    within = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    (block,) = [part for part in within if part.startswith(f"{group}:")]
    (comment,) = re.findall(rf"^ +{key}: .*?#(.*)$", block, re.MULTILINE)
    assert set(CHOICES[name]) <= set(re.split(r"[,; ]+", comment.strip()))


@pytest.mark.parametrize("name", sorted(set(CHOICES) - {"train.device"}))  # only a machine knows its devices
def test_validation_takes_every_choice_and_nothing_else(name, values):
    needed = with_value(values, "ingest.path", "somewhere")
    for choice in CHOICES[name]:
        validate_parameters(with_value(needed, name, choice))
    with pytest.raises(UserError, match=re.escape(f"{name}=other")):
        validate_parameters(with_value(needed, name, "other"))


@pytest.mark.parametrize(
    ("page", "pattern", "choices"),
    [
        ("report.md", r"`explain\.method` takes (.*?)\. `explain\.layer`", CAM_METHODS),
        ("report.md", r"`explain\.selection` chooses (.*?)\. `explain\.num_images`", SELECTIONS),
        ("report.md", r"\| `kind` \| `verdict` is `found` if \|(.*?)\n\n", KINDS),
        ("own-images.md", r"\| `ingest\.source` \| reads \|(.*?)\n\n", SOURCES),
        ("planted-faults.md", r"\| `ingest\.plant` \| effect \|(.*?)\n\n", FAULTS),
    ],
    ids=["methods", "selections", "verdicts", "sources", "faults"],
)
def test_documents_name_every_choice_and_no_other(root, page, pattern, choices):
    (part,) = re.findall(pattern, (root / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    # of a table its first column; what begins with a colon is an argument
    column = "".join(line.split("|")[1] for line in part.splitlines() if line.startswith("| `"))
    named = {name.partition(":")[0] for name in re.findall(r"`([^`]+)`", column or part)}
    assert named - {""} == set(choices)


def test_every_source_has_a_reader():
    for module in SOURCES.values():
        assert callable(import_module(f"{read_source.__module__}.{module}").read)


def test_every_method_has_a_label_and_a_colour_of_its_own():
    assert COLORS.keys() == METHODS.keys()
    assert len(set(METHODS.values())) == len(set(COLORS.values())) == len(METHODS)
