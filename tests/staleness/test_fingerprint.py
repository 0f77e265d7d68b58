"""What a node's function is made of."""

import functools
import sys

import pytest

from s10_pipeline.identity.digests import Memo
from s10_pipeline.staleness.fingerprint import Fingerprinter, Rules

TEXT = """
import functools

def helper(value):
    return value

def other(value):
    return -value

def apply(value, function=None, power=1):
    return function(value)

def make(power):
    def inner(value):
        return value**power
    return inner

def bring(function):
    def inner(value):
        return function(value)
    return inner

class Stage:
    def __init__(self, power):
        self.power = power

    def __call__(self, value):
        return value**self.power
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The module, and code digests of functions of it as its file stands now."""
    (tmp_path / "made_up").mkdir()
    file = tmp_path / "made_up" / "__init__.py"
    file.write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_up", raising=False)
    import made_up

    def digest(func):
        return Fingerprinter(Rules("made_up"), Memo(tmp_path / "memo.json")).code(func)

    yield made_up, digest, file
    sys.modules.pop("made_up")


def test_bound_values_and_functions_that_are_handed_over_count(made):
    module, digest, file = made
    functions = [
        functools.partial(module.apply, function=module.helper, power=1), module.bring(module.helper),
        functools.partial(module.apply, function=module.helper, power=2), module.bring(module.other),
        functools.partial(module.apply, function=module.other, power=1), module.make(1), module.make(2),
        module.Stage(1), module.Stage(2),
    ]  # fmt: skip
    before = [digest(function) for function in functions]
    assert all(before.count(one) == 1 for one in before)
    again = [functools.partial(module.apply, function=module.helper, power=1), module.make(2), module.Stage(2)]
    assert [digest(function) for function in again] == [before[0], before[6], before[8]]
    file.write_text(TEXT.replace("return value\n\ndef other", "return value + 1\n\ndef other"))
    assert [i for i, function in enumerate(functions) if digest(function) != before[i]] == [0, 1, 2]


def test_a_function_of_a_library_counts_by_its_version(made):
    _, _, file = made
    import json

    import pandas

    functions = Fingerprinter(Rules("made_up"), Memo(file.with_name("memo.json")))
    assert functions.code(pandas.concat)["libraries"] == ["pandas"]
    assert functions.code(json.dumps)["libraries"] == []
    assert functions.version("pandas") == pandas.__version__ and functions.version("PIL") is not None
