"""What a module's source says, statement by statement."""

from s10_pipeline.identity.reach import Reach
from s10_pipeline.identity.source import ALL, Package

MODULE = '''
"""About."""
import os
from . import deep
from .deep import scale as s

TABLE = {"a": s}
TABLE["b"] = deep.shift


def f(n: "TABLE") -> int:
    """Doc."""
    local = n
    if local:
        raise ValueError(os.name)
    return deep.shift(local) + s(1)  # comment


class Sub(deep.Base, metaclass=Meta):
    x = 1
'''


def write(folder, **files):
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text)
    return Package("p", folder)


def test_statements_say_what_they_bind_use_and_do(tmp_path):
    bindings = write(tmp_path, a=MODULE, deep="").bindings("p.a")
    assert bindings.keys() == {ALL, "os", "deep", "s", "TABLE", "f", "Sub"}
    assert len(bindings[ALL]) == 7
    first, second = bindings["TABLE"]
    assert (first.uses, first.acts, first.runs) == ({("s",)}, False, True)
    assert second.uses >= {("deep", "shift")}
    assert second.acts, "it changes a table in place"
    (f,) = bindings["f"]
    assert f.uses == {("TABLE",), ("deep", "shift"), ("s",), ("os", "name"), ("ValueError",), ("int",)}
    assert f.computes == {("deep", "shift"), ("s",)}, "neither hints nor what is raised compute"
    assert not f.runs
    assert "Doc" not in f.text and "comment" not in f.text
    (sub,) = bindings["Sub"]
    assert (sub.bases, sub.marks) == ({("deep", "Base")}, {("Meta",)})


def test_imports_are_resolved_and_those_for_type_checkers_do_not_run(tmp_path):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .deep import scale\nfrom .b import *\n"
    bindings = write(tmp_path, a=text, b="import json.decoder\ny = 1\n", deep="").bindings("p.a")
    assert bindings.keys() == {ALL, "TYPE_CHECKING", "scale", "json", "y"}
    (scale,) = bindings["scale"]
    assert not scale.runs
    assert [(found.module, found.path, found.last) for found in scale.imports] == [
        ("p.deep", ("scale",), "p.deep.scale")
    ]
    assert bindings["y"][0].loads >= {"p.b"}


def test_files_beside_a_module_have_digests_but_no_code(tmp_path):
    package = write(tmp_path, a="")
    (tmp_path / "below").mkdir()
    for name in ("style.css", "below/page.txt", ".hidden", "cached.pyc"):
        (tmp_path / name).write_text("x")
    before = package.data_files("p.a")
    assert before.keys() == {"style.css", "below/page.txt"}
    (tmp_path / "style.css").write_text("y")
    after = package.data_files("p.a")
    assert {name for name in after if after[name] != before[name]} == {"style.css"}


def test_a_broken_module_counts_by_its_text(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f(n):\n    import importlib\n    return importlib.import_module(n)\n")
    digests = set()
    for text in ("def broken(:\n", "def still broken(:\n"):
        (package / "b.py").write_text(text)
        digests.add(str(Reach(Package("p", package), ("p.a", "f")).pieces))
    assert len(digests) == 2
