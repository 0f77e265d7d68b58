"""A small project that has run once; each test gets a copy of its own."""

import pytest
from small_project import ALL, SmallProject


@pytest.fixture(autouse=True)
def _no_other_pipelines(monkeypatch):
    """Pipelines of the real project, which other tests may have registered, are not this one's."""
    monkeypatch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {})


@pytest.fixture(scope="session")
def _finished(tmp_path_factory):
    project = SmallProject(tmp_path_factory.mktemp("finished") / "project").write()
    with pytest.MonkeyPatch.context() as patch:  # a session's fixture is made before those of a test
        patch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {})
        assert project.run() == ALL
    return project


@pytest.fixture
def project(_finished, tmp_path):
    return _finished.copy_to(tmp_path / "project")


@pytest.fixture
def registered(monkeypatch):
    """Make a project's whole pipeline known, as its registry would."""

    def register(project):
        monkeypatch.setattr("s10_pipeline.staleness.plan.registered_pipelines", {"__default__": project.pipeline()})

    return register
