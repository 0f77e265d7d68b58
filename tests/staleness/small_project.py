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
    "constants.py": 'FACTOR = 2\nOFFSETS = {"a": 1}\nUNIT = "points"\n',
    "deep.py": """
from . import constants
from .constants import OFFSETS

def scale(value):
    # as told by FACTOR
    return value * constants.FACTOR

def shift(value):
    return value + OFFSETS["a"]
""",
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
    "nodes.py": """
from pathlib import Path

from . import constants
from .deep import scale, shift

def read(source):
    return int(Path(source["path"]).read_text() if source["path"] else "0") + source["start"]

def clean(raw, clean):
    table = min(raw, clean["most"])
    return table, {"parity": table % 2}

def prepare(table):
    return table + 1

def fit(prepared, fit):
    return scale(shift(prepared)) * fit["rate"] + fit["epochs"]

def judge(model, table, device):
    return {"score": model - table, "unit": constants.UNIT}

def label(names):
    return sorted(names)
""",
}

PARAMETERS = {
    "source": {"path": None, "start": 5},
    "clean": {"most": 1000},
    "fit": {"rate": 1, "epochs": 3, "device": "cpu"},
}


class SmallProject:
    def __init__(self, folder: Path) -> None:
        self.folder, self.package, self.data = folder, folder / "src" / "small", folder / "data"
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
            importlib.import_module("small.runner")
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
        records_type = "s10_pipeline.staleness.records.RecordsDataset"
        config["records"] = {"type": records_type, "filepath": str(self.data / ".records")}
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
        told: list[str] = []
        handler, logger = logging.Handler(), logging.getLogger("kedro.runner")
        handler.emit = lambda record: told.append(record.getMessage())
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
        return [name for name in ALL if f"Completed node: {name}" in told]

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
