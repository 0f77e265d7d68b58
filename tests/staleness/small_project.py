"""A small pipeline in a package of its own, written to a folder, run, edited and run again.

Values are integers, so that it is plain what must come out:

    read -> raw -> clean -> table, summary
                            table -> prepare -> prepared (in memory) -> fit -> model -> judge -> score
                                                                        table ------------^
    label (reads the free input `names`) -> labels
"""

import importlib
import json
import logging
import shutil
import sys
from pathlib import Path

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from s10_pipeline.staleness.records import RecordStore

ALL = ["read", "clean", "prepare", "fit", "judge", "label"]

SOURCES = {
    "__init__.py": '"""A small project."""\n',
    "constants.py": """
FACTOR = 2
OFFSETS = {"a": 1, "b": 2}
UNUSED = 0
LIMITS: tuple[int, int] = (0, 1000)
""",
    "deep.py": '''
"""Reached by way of others."""

from . import constants
from .constants import OFFSETS

def scale(value):
    """Twice."""
    # as told by FACTOR
    return value * constants.FACTOR

def shift(value):
    return value + OFFSETS["a"]

def nobody(value):
    return value - 1
''',
    "models.py": '''
"""Classes with bases, defaults and decorators."""

import functools

from . import deep
from .deep import scale, shift

METHODS = {"plain": scale, "shifted": shift}

def logged(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    return call

class Base:
    bonus = 0

    def finish(self, value):
        return value + self.bonus

class Model(Base):
    rate: int = 1

    def __init__(self, start=deep.shift):
        self.start = start

    @logged
    def fit(self, value):
        return self.finish(METHODS["plain"](self.start(value)))

class Hinted:
    def show(self):
        return "shown"
''',
    "types.py": """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Hinted
else:
    Hinted = object
""",
    "registry.py": """
READERS = {}

def register(name):
    def enter(function):
        READERS[name] = function
        return function

    return enter
""",
    "plugins/__init__.py": "from . import first\n",
    "plugins/first.py": """
from ..registry import register

@register("first")
def first(value):
    return value + 0

def beside(value):
    return value
""",
    "named/__init__.py": """
from importlib import import_module

def by_name(name, value):
    return import_module(f".{name}", __package__).run(value)
""",
    "named/alpha.py": "def run(value):\n    return value\n",
    "named/beta.py": "def run(value):\n    return value + 1\n",
    "page/__init__.py": """
from importlib import resources

def render(value):
    return (resources.files(__package__) / "page.txt").read_text().format(value=value)
""",
    "page/page.txt": "score {value}\n",
    "params.py": """
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from s10_pipeline.identity.affects import affects

class FitParams(BaseModel):
    model_config = ConfigDict(extra="allow")
    rate: int = 1
    epochs: Any = 3
    device: Annotated[str, affects()] = "cpu"

class Parameters(BaseModel):
    source: dict
    clean: dict
    fit: FitParams
""",
    "runner.py": """
from s10_pipeline.staleness.fingerprint import Rules
from s10_pipeline.staleness.runner import StalenessRunner

from .params import Parameters

class Runner(StalenessRunner):
    rules = Rules(
        package="small",
        parameters=Parameters,
        path_parameters=("source.path",),
        describe=lambda parameters: {"device": parameters.get("fit.device"), "git": {}},
    )
""",
    "nodes.py": '''
"""The stages."""

from pathlib import Path

from .constants import LIMITS
from .types import Hinted

def read(source):
    from .registry import READERS
    from . import plugins

    text = Path(source["path"]).read_text() if source["path"] else "0"
    return READERS["first"](int(text) + source["start"])

def clean(raw, clean):
    from .named import by_name

    low, high = LIMITS
    table = min(max(by_name(clean["by"], raw), low), high)
    return table, {"parity": table % 2}

def prepare(table):
    return table + 1

def fit(prepared, fit):
    from .models import Model

    return Model().fit(prepared) * fit["rate"] + fit["epochs"]

def judge(model, table, device, shown: "Hinted" = None):
    from .page import render

    return {"score": model - table, "page": render(model)}

def label(names):
    local = [name for scale in names for name in [scale]]
    return sorted(local)
''',
}

PARAMETERS = {
    "source": {"path": None, "start": 5},
    "clean": {"by": "alpha"},
    "fit": {"rate": 1, "epochs": 3, "device": "cpu"},
}


class SmallProject:
    """The package, its data and its parameters in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "src" / "small"
        self.data = folder / "data"
        self.parameters = json.loads(json.dumps(PARAMETERS))
        self._num_runs = 0

    def write(self) -> "SmallProject":
        for name, text in SOURCES.items():
            path = self.package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.data.mkdir()
        (self.data / "names.json").write_text('["b", "a"]')
        return self

    def copy_to(self, folder: Path) -> "SmallProject":
        shutil.copytree(self.folder, folder)
        other = SmallProject(folder)
        other._num_runs = self._num_runs
        return other

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.package / file
        assert path.read_text().count(old) == 1, (file, old)
        path.write_text(path.read_text().replace(old, new))

    def pipeline(self) -> Pipeline:
        """With the functions as they stand in the files now."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "small"]:
            del sys.modules[name]
        sys.path.insert(0, str(self.package.parent))
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            importlib.invalidate_caches()
            nodes = importlib.import_module("small.nodes")
            # whatever a node imports while it runs comes from here too
            for path in sorted(self.package.rglob("*.py")):
                parts = path.relative_to(self.package).with_suffix("").parts
                importlib.import_module(".".join(("small", *(p for p in parts if p != "__init__"))))
        finally:
            sys.path.remove(str(self.package.parent))
            sys.dont_write_bytecode = before
        return Pipeline(
            [
                node(nodes.read, "params:source", "raw", name="read"),
                node(nodes.clean, ["raw", "params:clean"], ["table", "summary"], name="clean"),
                node(nodes.prepare, "table", "prepared", name="prepare"),
                node(nodes.fit, ["prepared", "params:fit"], "model", name="fit"),
                node(nodes.judge, ["model", "table", "params:fit.device"], "score", name="judge"),
                node(nodes.label, "names", "labels", name="label"),
            ]
        )

    def catalog(self, run_id: str, load_versions: dict[str, str] | None = None) -> DataCatalog:
        json_type = "s10_pipeline.datasets.kedro_types.JSONDataset"
        config = {
            name: {"type": json_type, "filepath": str(self.data / f"{name}.json"), "versioned": True}
            for name in ("raw", "table", "summary", "model", "score", "labels")
        }
        config["names"] = {"type": json_type, "filepath": str(self.data / "names.json")}
        config["records"] = {
            "type": "s10_pipeline.staleness.records.RecordsDataset",
            "filepath": str(self.data / ".records"),
        }
        catalog = DataCatalog.from_config(config, save_version=run_id, load_versions=load_versions)
        for group, values in self.parameters.items():
            catalog[f"params:{group}"] = values
            for name, value in values.items():
                catalog[f"params:{group}.{name}"] = value
        return catalog

    def run(
        self, *nodes: str, force: bool = False, run_id: str | None = None, load_versions: dict[str, str] | None = None
    ) -> list[str]:
        """Run these nodes, or all; returns the names of those that ran, in the order of the pipeline."""
        self._num_runs += 1
        pipeline = self.pipeline()
        if nodes:
            pipeline = pipeline.only_nodes(*nodes)
        ran: list[str] = []

        class Ran(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if record.getMessage().startswith("Completed node: "):
                    ran.append(record.getMessage().removeprefix("Completed node: "))

        logger, handler = logging.getLogger("s10_pipeline.staleness.runner"), Ran()
        logger.addHandler(handler)
        level = logger.level
        logger.setLevel(logging.INFO)
        try:
            run_id = run_id or f"2026-01-01T00.00.{self._num_runs:02d}.000Z"
            catalog = self.catalog(run_id, load_versions)
            self.runner().run(pipeline, catalog, run_id=run_id, only_missing_outputs=not force)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        return sorted(ran, key=ALL.index)

    def runner(self, **options: object):
        """The project's runner; after :meth:`pipeline`."""
        return importlib.import_module("small.runner").Runner(**options)

    def stored(self, name: str, version: str | None = None) -> object:
        """What a dataset holds: of its newest version, or of this one."""
        path = sorted((self.data / f"{name}.json").glob(f"{version or '*'}/{name}.json"))[-1]
        return json.loads(path.read_text())

    def versions(self, name: str) -> list[str]:
        return sorted(p.parent.name for p in (self.data / f"{name}.json").glob(f"*/{name}.json"))

    @property
    def records(self):
        return RecordStore(self.data / ".records")
