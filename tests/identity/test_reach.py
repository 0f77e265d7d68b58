"""Which of the real project's stages an edit of its code reaches; and what static analysis cannot see is not missed."""

# ruff: noqa: E501 - edits and sources stand in one line each

import ast
import re
import shutil
from pathlib import Path

import pytest

from s10_pipeline.identity.reach import Reach
from s10_pipeline.identity.source import Package
from s10_pipeline.pipeline_registry import register_pipelines

NODES = {node.name: node.func for pipeline in register_pipelines().values() for node in pipeline.nodes}
TRAINING = {"train_resnet"}
EXPLAINING = {"compute_cams", "predict_images"}


def digests(folder: Path) -> dict[str, dict[str, str]]:
    package = Package("s10_pipeline", folder)
    return {name: Reach(package, (func.__module__, func.__name__)).pieces for name, func in NODES.items()}


@pytest.fixture
def source(root, tmp_path):
    return Path(shutil.copytree(root / "src" / "s10_pipeline", tmp_path / "s10_pipeline"))


@pytest.fixture(scope="module")
def before(root):
    return digests(root / "src" / "s10_pipeline")


# file, definition in it -> stages that an edit of it changes; all others must not
EDITS = [
    ("vision/explain/selection.py", "def select_misclassified", {"collect_misclassified", "check_cams"}),
    ("vision/explain/gradcam.py", "def compute_cams", {"check_cams", *EXPLAINING}),
    ("vision/explain/faithfulness.py", "def check_cams", {"check_cams"}),
    ("vision/evaluation/label_errors.py", "def judge_labels", {"judge"}),
    ("vision/explain/cam_check_plot.py", "def plot_cam_check", {"check_cams", "gradcam_report"}),
    ("vision/data/examples.py", "def draw_examples", {"build_augmented_datasets", "compute_cams"}),
    ("vision/report/page.py", "def build_report", {"gradcam_report"}),
    ("vision/report/overlay.py", "def overlay_cam", {"gradcam_report", "predict_images"}),
    ("vision/lr_search/range_test.py", "def find_learning_rate", {"lr_range_test"}),
    ("vision/lr_search/plot.py", "def plot_lr_curve", {"lr_range_test", "gradcam_report"}),
    ("vision/training/engine.py", "def train_classifier", TRAINING),
    ("vision/training/optimizer.py", "def build_optimizer", {"lr_range_test", *TRAINING}),
    ("vision/data/stratified.py", "def ", {"build_augmented_datasets", "ingest_cifar"}),
    ("vision/data/sources/folder.py", "def read", {"ingest_cifar"}),
    ("pipelines/evaluation/nodes.py", "def evaluate", {"evaluate"}),
    ("pipelines/data/nodes.py", "def ingest_cifar", {"ingest_cifar"}),
    # named by the type hints of the nodes that are handed a model
    ("vision/network/resnet.py", "class ResNet", {"check_cams", "evaluate", "export_onnx", "find_label_errors", "lr_range_test", "probe_shortcut", *TRAINING, *EXPLAINING}),
    # what only tells or starts a training is no part of what it makes
    ("vision/training/estimate.py", "def probe_speed", set()),
    ("parameters.py", "def validate_parameters", set()),
    ("hooks.py", "class ProjectHooks", set()),
    ("datasets/image_set.py", "class ImageSetDataset", set()),
    ("staleness/runner.py", "class Run", set()),
    # a declaration in parameter classes, which computes nothing
    ("identity/affects.py", "def affects", set()),
]  # fmt: skip


@pytest.mark.parametrize(("file", "definition", "stages"), EDITS, ids=[f"{e[0]} {e[1]}" for e in EDITS])
def test_an_edit_reaches_the_stages_that_use_it_and_no_others(root, before, file, definition, stages):
    text = (root / "src/s10_pipeline" / file).read_text(encoding="utf-8")
    name = re.search(rf"^{definition}\w*", text, re.MULTILINE)[0].split()[1]
    module = file.removesuffix(".py").replace("/", ".")
    edited = {f"{module}.{name}", f"{module}.(all)"}  # the pieces whose text an edit would change
    assert {node for node in NODES if edited & before[node].keys()} == stages


@pytest.mark.parametrize("file", ["report.html.j2", "report.css"])
def test_templates_count_for_the_report_alone(source, before, file):
    folder = source / "vision" / "report"
    for unread in ("notes.py", ".hidden", "cached.pyc", "../../README.txt"):
        (folder / unread).write_text("1")
    assert digests(source) == before
    (folder / file).write_text((folder / file).read_text() + "\n ")
    after = digests(source)
    assert {name for name in NODES if after[name] != before[name]} == {"gradcam_report"}


def test_comments_docstrings_and_formatting_count_nowhere(source, before):
    for path in source.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body[0].value.value = "Another docstring."
        path.write_text(f"# {path.name}\n\n\n{ast.unparse(tree)}\n\n# the end\n")  # unparsed, so formatted anew
    assert digests(source) == before


CASES = {
    "getattr of a module": ("from . import b\ndef f(n):\n    return getattr(b, n)()\n", True),
    "a module handed on": ("from . import b\ndef f(n):\n    return n(b)\n", True),
    "eval": ("from .b import g\ndef f(n):\n    return eval(n)\n", True),
    "import by a name that nobody knows": ("import importlib\ndef f(n):\n    return importlib.import_module(n).g()\n", True),
    "import by a name of another library": ("import importlib\ndef f(n):\n    return importlib.import_module(f'json.{n}')\n", False),
    "star": ("from .b import *\ndef f(n):\n    return g()\n", True),
    "re-exported by a star": ("from .s import g\ndef f(n):\n    return g()\n", True),
    "by the package's full name": ("import p.b\ndef f(n):\n    return p.b.g()\n", True),
    "re-exported by the package": ("from .c import g\ndef f(n):\n    return g()\n", True),
    "in a try": ("try:\n    from .b import g\nexcept ImportError:\n    g = None\ndef f(n):\n    return g()\n", True),
    "through sys.modules": ("import sys\ndef f(n):\n    return sys.modules['p.b'].g()\n", True),
    "nested function": ("def f(n):\n    def inner():\n        from .b import g\n        return g()\n    return inner\n", True),
    "a local variable of the same name": ("from .b import g\ndef f(n):\n    g = n\n    return g\n", False),
    "model.eval()": ("from .b import g\ndef f(model):\n    return model.eval()\n", False),
    "match": ("from .b import g\ndef f(n):\n    match n:\n        case 1:\n            return g()\n", True),
    "a module that imports its own names": ("from .b import g\ndef h():\n    return g()\ndef f(n):\n    return h()\nif n:\n    from p.a import h\n", True),
    "a table that is changed in place": ("T = {}\nfrom . import h2\ndef f(n):\n    return T[n]()\n", True),
    "imported for type checkers": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import h2\ndef f(n):\n    return n\n", False),
    "a metaclass of ours": ("from .b import Meta\nclass C(metaclass=Meta):\n    from .h2 import done\ndef f(n):\n    return n\n", True),
    "a table of functions": ("from .b import g\nT = {'x': g}\ndef f(n):\n    return T[n]()\n", True),
    "a base class": ("from .b import C\nclass D(C):\n    pass\ndef f(n):\n    return D()\n", True),
    "a decorator": ("from .b import g\n@g\ndef f(n):\n    return n\n", True),
    "a constant": ("from . import b\ndef f(n):\n    return b.K\n", True),
    "a constant beside the one that is read": ("from . import b\ndef f(n):\n    return b.L\n", False),
    "a plug-in that registers itself": ("from .d import KNOWN\nfrom . import plug\ndef f(n):\n    return KNOWN[n]()\n", True),
    "imported and not used": ("from . import beside\ndef f(n):\n    return n\n", False),
    "an assertion beside it": ("from .b import g\nassert g\ndef f(n):\n    return n\n", False),
    "import by a part of a name": ("from importlib import import_module\ndef f(n):\n    return import_module(f'.{n}', __package__).g()\n", True),
    "a hint that type checkers alone resolve": ("from .t import C\ndef f(n: C):\n    return n\n", True),
    "global statement": ("x = 1\ndef f(n):\n    global x\n    from .b import g\n    x = g\n", True),
}  # fmt: skip


# of what computes, hints and what is raised are not followed
IDLE = {
    "hint": ("from .b import g\ndef f(n: g) -> g:\n    return n\n", False),
    "hint of a variable": ("from .b import g\ndef f(n):\n    m: g = n\n    return m\n", False),
    "raised": ("from .b import g\ndef f(n):\n    if n:\n        raise ValueError(g())\n", False),
    "default": ("from .b import g\ndef f(n: int = g):\n    return n\n", True),
    "hint and call": ("from .b import g\ndef f(n: g):\n    return g()\n", True),
    "caught": ("from .b import g\ndef f(n):\n    try:\n        n()\n    except g:\n        return 1\n", True),
}


@pytest.mark.parametrize("case", [*CASES, *IDLE])
def test_ways_to_name_a_function(tmp_path, case):
    text, reached = (CASES | IDLE)[case]
    package = tmp_path / "p"
    package.mkdir()
    files = {
        "__init__.py": "",
        "a.py": text,
        "b.py": "def g():\n    return 1\n\nclass C:\n    x = 1\n\nK = 1\nL = 2\n\nclass Meta(type):\n    pass\n",
        "h2.py": "from . import a, b\na.T['g'] = b.g\ndone = 1\n",
        "c.py": "from .b import g\n",
        "s.py": "from .b import *\n",
        "d.py": "KNOWN = {}\ndef enter(f):\n    KNOWN[f.__name__] = f\n    return f\n",
        "plug.py": "from .b import g\nfrom .d import enter\n@enter\ndef first():\n    return g()\n",
        "beside.py": "from .b import g\ndef lonely():\n    return g()\n",
        "t.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import C\nelse:\n    C = object\n",
    }
    for name, content in files.items():
        (package / name).write_text(content)
    before = [Reach(Package("p", package), ("p.a", "f"), computing=computing).pieces for computing in (False, True)]
    (package / "b.py").write_text(files["b.py"].replace("1", "11"))
    after = [Reach(Package("p", package), ("p.a", "f"), computing=computing).pieces for computing in (False, True)]
    assert (before[0] != after[0]) is (reached or case in IDLE)
    assert (before[1] != after[1]) is reached or case in CASES


def test_a_broken_module_counts_by_its_text(tmp_path):
    def reached(broken: str) -> dict[str, str]:
        code = "def f(n):\n    import importlib\n    return importlib.import_module(n)\n"
        for name, text in {"__init__": "", "a": code, "b": broken}.items():
            (tmp_path / f"{name}.py").write_text(text)
        return Reach(Package("p", tmp_path), ("p.a", "f")).pieces

    assert reached("def broken(:\n") != reached("def still broken(:\n")
