"""A small project that has run once; each test gets a copy of its own."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


small_project, edits = _load("small_project"), _load("edits")


@pytest.fixture(autouse=True)
def _no_other_pipelines(monkeypatch):
    """Pipelines of the real project, which other tests may have registered, are not this one's."""
    monkeypatch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {})


@pytest.fixture(scope="session")
def _finished(tmp_path_factory):
    project = small_project.SmallProject(tmp_path_factory.mktemp("finished") / "project").write()
    with pytest.MonkeyPatch.context() as patch:  # a session's fixture is made before those of a test
        patch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {})
        assert project.run() == small_project.ALL
    return project


@pytest.fixture
def project(_finished, tmp_path):
    """Finished, and free to be changed."""
    return _finished.copy_to(tmp_path / "project")


@pytest.fixture
def registered(monkeypatch):
    """Make a project's whole pipeline known, as its registry would."""

    def register(project):
        monkeypatch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {"__default__": project.pipeline()})

    return register
