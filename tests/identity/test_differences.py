"""How changes are told, and what nested dictionaries hold."""

from s10_pipeline.identity.differences import PENDING, changes_in_words, flatten


def parts(**groups):
    return {"code": {"m.f": "1", "m.g": "1"}, "inputs": {}, **groups}


def test_changes_are_told_shortly():
    old = parts(parameters={"a": 1, "b": "x", "gone": None}, libraries={"torch": "1"}, files={"p": "1"})
    new = parts(parameters={"a": 2, "b": "x", "new": [1]}, libraries={"torch": "2"}, files={"p": "2"})
    assert changes_in_words(old, new, most=9) == (
        "a 1 -> 2, new nothing -> [1], gone null -> nothing, the content of p changed, torch 1 -> 2"
    )
    assert changes_in_words(old, new) == "a 1 -> 2, new nothing -> [1], gone null -> nothing and 2 more"
    new = parts(code={"m.f": "2", "m.h": "1"})
    assert changes_in_words(parts(), new) == "code of m.f, code of m.g, code of m.h"
    bound = [parts(wiring={"function": [[["m", "f"]], [value]]}) for value in ("1", "2")]
    assert changes_in_words(*bound) == "its function in the pipeline changed"
    assert changes_in_words(parts(parameters={"a": 3, "b": 1}), parts(parameters={"a": 3.0, "b": True})) == (
        "a 3 -> 3.0, b 1 -> true"
    )
    assert changes_in_words(parts(), parts()) == ""


def test_what_is_not_known_yet_is_no_difference():
    assert changes_in_words(parts(inputs={"a": "1"}), parts(inputs={"a": PENDING})) == ""
    assert changes_in_words(parts(inputs={"a": PENDING}), parts(inputs={"a": "1"})) == "a changed"


def test_leaves_by_dotted_names():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [{"e": 2}]}) == {"a.b": 1, "a.c": {}, "d": [{"e": 2}]}
    assert flatten({"b": 1}, "a") == {"a.b": 1} and flatten(3, "a") == {"a": 3}
