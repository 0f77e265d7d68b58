"""What is typed behind ``--params``; tests/test_parameters.py has it with the project's own parameters."""

import re
import shlex

import click
import pytest
from pydantic import BaseModel, create_model

from s10_pipeline.staleness.commands.options import run_command
from s10_pipeline.staleness.commands.params import Params, spell


class Inner(BaseModel):
    text: str = ""
    number: int | None = 0


class Model(BaseModel):
    a: Inner = Inner()


def parse(*given: str, model: type[BaseModel] | None = Model):
    command = click.Command("run", params=[Params(model)])
    return command.make_context("run", [f"--params={text}" for text in given]).params["params"]


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ([], {}),
        ([""], {}),
        (["a.number=1,c=x"], {"a": {"number": 1}, "c": "x"}),
        (["a.number=1, a.text=2", "a.number=3"], {"a": {"number": 3, "text": "2"}}),
        (["a.number=010,c=-08"], {"a": {"number": 10}, "c": -8}),
        (["a=1", "a.text=x"], {"a": {"text": "x"}}),
        (["a={number: 1}", "a.text=x"], {"a": {"number": 1, "text": "x"}}),
        (["a.text=,a.number=null"], {"a": {"text": "", "number": None}}),
        (["a.text= x "], {"a": {"text": " x "}}),
        (['a.text="say "",""",a.number=1'], {"a": {"text": 'say ","', "number": 1}}),
        (['a.text="a"b'], {"a": {"text": '"a"b'}}),
    ],
)
def test_given_once_or_several_times_parameters_add_up_and_the_last_wins(given, params):
    assert parse(*given) == params


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_of_parameters_and_typed_ones_add_up(tmp_path, order):
    (tmp_path / "run.yml").write_text("run: {params: {a: {number: 7, text: x}, c: 1}}")
    given = [f"--config={tmp_path}/run.yml", "--params=a.number=1"][::order]
    params = run_command("runner", Model).make_context("run", given).params["params"]
    assert params == {"a": {"number": 1, "text": "x"}, "c": 1}


def test_what_nobody_declared_is_yaml_unless_it_is_quoted():
    given = parse("""a.number=1e-3,b.c=null,b.d="007",b.e='[1,2]',b.f=@w,b.g=x""", model=None)
    assert given == {"a": {"number": 1e-3}, "b": {"c": None, "d": "007", "e": "[1,2]", "f": "@w", "g": "x"}}


@pytest.mark.parametrize("value", ["x", "x, 'y'", '"', "null", "", " 5", "a=b", "${x}", "it's", None])
def test_what_is_spelt_is_parsed_to_the_same(value):
    option, given = shlex.split(f"run {spell({'a.text': value, 'a.number': 5})}")[1].split("=", 1)
    declared = create_model("M", a=(create_model("A", text=(str | None, ""), number=(int, 0)), ...))
    parsed = parse(given, model=declared)["a"]
    assert (option, parsed["number"], parsed["text"]) == ("--params", 5, value and value.replace("${", r"\${"))


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("a.text=x,y", 'a.text="x,y"'),
        ('a.text="x,y', 'a.text="""x,y"'),
        ("a.text=x,", 'a.text="x,"'),
        ("a.text", "train.epochs=5"),
        *((text, "--params=train.epochs=5") for text in (" ", ".=1", "=3", "a.=1", "a..number=1")),
    ],
)
def test_a_comma_in_a_value_needs_quotes_and_the_error_shows_them(given, remedy):
    with pytest.raises(click.ClickException, match=f"^--params={re.escape(given)}: .*; .*{re.escape(remedy)}'?$"):
        parse(given)
