"""Real kills of real ``kedro run`` processes: what was interrupted and started again ends byte for byte the same."""

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from kedro_process import KedroProcess, wait_for
from s10_pipeline.pipeline_registry import register_pipelines

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")]

LOCAL = LocalFileSystem()
SMALL = (
    "--params=ingest.shapes10.num_train_images=400,ingest.shapes10.num_test_images=120",
    "--params=lr_search.num_iterations=30,train.architecture.width=4,train.architecture.dropout=0.2",
    # the plateau drops after each epoch that is not half as bad as the best: its state counts
    "--params=train.epochs=4,train.warmup_epochs=1,train.plateau.patience=0,train.plateau.threshold=0.5",
)
TWO_PROCESSES = "--params=train.distributed.num_processes=2"
# what training leaves, and its record
TRAINED = shutil.ignore_patterns(
    "model.safetensors", "training_*", "train_margins*", "provenance.json", "checkpoints", "train_resnet"
)


class Project:
    """The project with its artifacts in a folder of its own.

    Args:
        remote: where artifacts lie instead, and the file system there.
        environment: variables by which commands find it.
    """

    def __init__(self, root: Path, data_root: Path, remote: str | None = None, files=LOCAL, environment=()) -> None:
        self.root, self.data_root = root, data_root
        self.artifacts, self.files, self.environment = remote or str(data_root), files, dict(environment)

    def start(self, *arguments: str, fault: dict | None = None) -> KedroProcess:
        environment = {
            "S10_DATA_ROOT": self.artifacts,
            "PYTHONPATH": os.pathsep.join([str(self.root / "tests/faults"), *os.environ.get("PYTHONPATH", "").split()]),
            "S10_FAULT": json.dumps(fault),
            **self.environment,
        }
        output = self.data_root.with_name("output")
        return KedroProcess(self.root, output, "run", "--env=sample", *SMALL, *arguments, environment=environment)

    def run(self, *arguments: str, **how) -> int:
        code, self.stdout, self.stderr = self.start(*arguments, **how).wait()
        return code

    def checkpoint(self, epoch: int) -> list[Path]:
        return list(self.data_root.glob(f"sample/06_models/checkpoints/*/epoch-{epoch:05d}.pt"))

    def outcome(self) -> dict[str, bytes]:
        found = {}
        for name in ("model.safetensors", "training_history.csv"):
            versions = sorted(self.files.glob(f"{self.artifacts}/sample/06_models/{name}/*/{name}"))
            found[name] = self.files.cat_file(versions[-1])
        return found


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Project:
    project = Project(root, tmp_path_factory.mktemp("undisturbed") / "data")
    assert project.run("--pipelines=data,lr_search,training") == 0, project.stderr
    return project


@pytest.fixture
def project(root, finished, tmp_path) -> Project:
    """With everything that comes before training."""
    shutil.copytree(finished.data_root, tmp_path / "data", ignore=TRAINED)
    return Project(root, tmp_path / "data")


# One training, killed at every kind of moment: (what happens, number of workers, the epoch that it resumes after).
KILLS = {
    "in the first epoch": ({"at": "batch", "epoch": 1, "batch": 3}, 0, 0),
    "between writing and naming a checkpoint": ({"at": "save", "epoch": 2}, 1, 0),
    "in an epoch, with workers": ({"at": "batch", "epoch": 3, "batch": 4}, 2, 1),
    "after the last epoch": ({"at": "trained"}, 0, 2),
}


def test_killed_again_and_again_and_started_again_equals_undisturbed(project, finished):
    for i, (moment, (fault, num_workers, done)) in enumerate(KILLS.items()):
        # any number of workers, and either way to ask for it
        how = [f"--params=train.num_workers={num_workers}", *(["--only-missing-outputs"] if i % 2 else [])]
        code = project.run("--pipelines=training", *how, fault={**fault, "do": "kill"})
        assert code == -signal.SIGKILL, (moment, project.stderr)
        assert ("resuming after epoch" in project.stdout) == (done > 0), moment
        assert f"resuming after epoch {done}" in project.stdout or not done, moment
    how = ("--params=train.num_workers=1", "--only-missing-outputs")
    assert project.run("--pipelines=training", *how) == 0, project.stderr
    assert "resuming after epoch 4" in project.stdout and project.outcome() == finished.outcome()
    assert not list(project.data_root.rglob("*.partial")), "what a killed process left is tidied up"


@pytest.fixture
def on_s3(root, tmp_path, monkeypatch):
    """With artifacts on moto's S3, and what must lie on a local disk in a temporary folder."""
    moto, s3fs = pytest.importorskip("moto.server"), pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    access = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in access.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    files.mkdir("bucket")
    checkout = tmp_path / "checkout"
    for name in ("conf", "src", "tests/faults"):
        shutil.copytree(root / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", checkout)
    yield Project(checkout, tmp_path / "data", "s3://bucket/root", files, access)
    server.stop()


@pytest.mark.parametrize("place", ["a folder", "S3"])
def test_stages_in_processes_of_their_own_equal_one_run(root, finished, tmp_path, request, place):
    """As an orchestrator runs them: one command for each node. On S3 only where moto and s3fs are installed."""
    project = Project(root, tmp_path / "data") if place == "a folder" else request.getfixturevalue("on_s3")
    for node in register_pipelines()["__default__"].nodes:
        assert project.run(f"--nodes={node.name}") == 0, project.stderr
    assert project.outcome() == finished.outcome()
    (report,) = re.findall(r"^\S+/report\.html$", project.stdout, re.MULTILINE)
    assert report.startswith(f"{project.artifacts}/sample/08_reporting/report.html/")
    assert b"<html" in project.files.cat_file(report)[:500]
    assert project.run("--nodes=ingest_cifar", "--only-missing-outputs") == 0, project.stderr
    assert ("1/1 ingest_cifar" in project.stdout) == (place == "S3"), "remote artifacts have no digests to go by"


def test_an_interruption_ends_quietly_with_the_command_that_goes_on(project, finished, tmp_path):
    """SIGTERM in the second epoch, then Ctrl-C in the third, which reaches workers too."""
    for epoch, num_workers, ending in ((2, 0, signal.SIGTERM), (3, 2, signal.SIGINT)):
        waiting = tmp_path / f"waiting in epoch {epoch}"
        fault = {"at": "batch", "epoch": epoch, "batch": 2, "do": "wait", "waiting": str(waiting)}
        process = project.start("--pipelines=training", f"--params=train.num_workers={num_workers}", fault=fault)
        wait_for(waiting.exists)
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)
        else:
            process.terminate()
        code, _, stderr = process.wait(60)
        assert code == 130 and "Traceback" not in stderr
        last = stderr.strip().splitlines()[-1]
        assert last.startswith("Interrupted.") and "run --env=sample" in last and "--pipelines=training" in last
        assert project.checkpoint(epoch - 1)
        assert not project.checkpoint(epoch), "an epoch that did not end leaves nothing"
    assert project.run("--pipelines=training") == 0, project.stderr
    assert project.outcome() == finished.outcome()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits only to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_processes_of_a_training_end_with_it(project, tmp_path, ending):
    fault = {"at": "batch", "epoch": 2, "batch": 2, "do": "wait", "waiting": str(tmp_path / "waiting"), "rank": 1}
    process = project.start("--pipelines=training", TWO_PROCESSES, fault=fault)
    wait_for((tmp_path / "waiting").exists)
    pid = int((tmp_path / "waiting").read_text())
    assert is_alive(pid)
    deadline = time.monotonic() + 20
    if ending == signal.SIGINT:
        os.killpg(process.pid, ending)
    else:
        process.kill()
    code, _, stderr = process.wait(60)
    assert code == (130 if ending == signal.SIGINT else -signal.SIGKILL), stderr
    assert ending == signal.SIGKILL or "Traceback" not in stderr
    wait_for(lambda: not is_alive(pid), seconds=60)
    assert time.monotonic() < deadline, "the launcher waits 30 s for processes that do not end by themselves"
    assert project.checkpoint(1) and not project.checkpoint(2)
