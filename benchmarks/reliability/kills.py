"""Kill real ``kedro run`` processes at moments spread over the whole pipeline, and compare with an undisturbed run.

    python benchmarks/reliability/kills.py [--minutes 12 --work FOLDER]

In one data folder, processes are killed one after the other, by SIGKILL and SIGTERM in turn, each restarted with
``--only-missing-outputs``, until one ends by itself. Its model, predictions and metrics must then equal the undisturbed
run's byte for byte. Each process is one row of FOLDER/kills.csv. When called again, the script continues after the last
row.
"""

import argparse
import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from forked import Forked, begun

ROOT = Path(__file__).parents[2]
COLUMNS = ("process", "signal", "seconds", "during", "exit_code", "finding")
TINY = (
    "ingest.shapes10.num_train_images=200,ingest.shapes10.num_test_images=60,train.epochs=2,"
    "train.architecture.width=4,explain.num_images=3"
)
COMPARED = ("model.safetensors", "test_predictions.parquet", "metrics.json")

# Function that starts a process.
START: type = subprocess.Popen

# A process that lives this many seconds after its signal, or without one, counts as hanging.
HANG_SECONDS = 300

# Kills per data root before a process may run to its end.
KILLS_IN_A_ROW = 4

# Fractional parts of multiples of the golden ratio fill an interval evenly, for any number of them.
GOLDEN = 0.618034

NUM_NODES = 13

# Approximate longest seconds of the start and of a node, on two busy cores.
START_SECONDS, NODE_SECONDS = 15.0, 2.0


def main() -> None:
    global START
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--work", type=Path, default=Path("/tmp/s10_reliability"))
    parser.add_argument("--forked", action="store_true", help="fork processes from one that has imported the project")
    arguments = parser.parse_args()
    START = Forked if arguments.forked else subprocess.Popen
    work, until = arguments.work, time.monotonic() + 60 * arguments.minutes
    undisturbed = work / "undisturbed"
    if not undisturbed.exists():
        *_, exit_code, output = run(undisturbed, None)
        assert exit_code == 0 and len(begun(output)) == NUM_NODES, output
    expected = outcome(undisturbed)
    table = work / "kills.csv"
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    while time.monotonic() < until:
        row = kill_once(work / "disturbed", rows, expected)
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if not rows:
                writer.writeheader()
            writer.writerow(row)
        rows.append(row)
    num_killed, num_ends = sum(r["signal"] != "" for r in rows), sum(r["exit_code"] == "0" for r in rows)
    print(f"{len(rows)} processes, {num_killed} killed, {num_ends} ends compared; found:")
    print("\n".join(str(row) for row in rows if row["finding"]) or "nothing")


def kill_once(data_root: Path, rows: list[dict], expected: dict[str, str]) -> dict[str, str]:
    """Start a run, kill it unless it may run to its end, and return what was found wrong."""
    number, before = len(rows) + 1, stored(data_root)
    in_a_row = 0
    while in_a_row < len(rows) and rows[-1 - in_a_row]["signal"]:
        in_a_row += 1
    last = in_a_row >= KILLS_IN_A_ROW
    chosen = None if last else (signal.SIGKILL, signal.SIGTERM)[number % 2]
    # the moment: after this many nodes have started, plus a share of a node's time
    num_nodes, part = divmod(number * GOLDEN % 1 * (NUM_NODES + 1), 1)
    seconds, killed, exit_code, output = run(data_root, chosen, int(num_nodes), part)
    after, findings = stored(data_root), []
    if any(after.get(path) != digest for path, digest in before.items()):
        findings.append("lost")
    if "Traceback" in output:
        findings.append("traceback")
    if exit_code is None:
        findings.append("hang")
    if exit_code == 0:
        if outcome(data_root) != expected:
            findings.append("unequal")
        else:
            shutil.rmtree(data_root)
    if not killed and exit_code not in (0, None):
        findings.append("failed")
    if findings:
        kept = data_root.with_name(f"found-{number}")
        shutil.copytree(data_root, kept, dirs_exist_ok=True) if data_root.exists() else kept.mkdir()
        (kept / "output.txt").write_text(output)
        shutil.rmtree(data_root, ignore_errors=True)
    during = begun(output)[-1] if begun(output) else "start"
    values = (number, chosen.name if chosen and killed else "", f"{seconds:.1f}", during, exit_code, " ".join(findings))
    return dict(zip(COLUMNS, map(str, values), strict=True))


def run(
    data_root: Path, chosen: signal.Signals | None, num_nodes: int = 0, part: float = 0
) -> tuple[float, bool, int | None, str]:
    """Return the seconds until signal or end, whether it was killed, the exit code (None: it hung) and its output."""
    arguments = ["run", "--env=sample", f"--params={TINY}"] + ["--only-missing-outputs"] * data_root.exists()
    data_root.parent.mkdir(parents=True, exist_ok=True)
    log, started, killed = data_root.with_suffix(".log"), time.monotonic(), False
    with log.open("w") as file:
        process = START(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=ROOT,
            env={**os.environ, "S10_DATA_ROOT": str(data_root), "COLUMNS": "200"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    if chosen:
        while process.poll() is None and len(begun(log.read_text())) < num_nodes:
            time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(part * (NODE_SECONDS if num_nodes else START_SECONDS))
        killed = process.poll() is None
        process.send_signal(chosen)  # does nothing if it has ended
    seconds = time.monotonic() - started
    try:
        exit_code = process.wait(HANG_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        exit_code = None
    return seconds if killed else time.monotonic() - started, killed, exit_code, log.read_text()


def stored(data_root: Path) -> dict[str, str]:
    """Return the digest of each artifact, that is, of each file except checkpoints and hidden files."""
    paths = (path.relative_to(data_root) for path in data_root.rglob("*"))
    shown = (p for p in paths if not any(part.startswith(".") or part == "checkpoints" for part in p.parts))
    return {str(p): digest(data_root / p) for p in shown if (data_root / p).is_file()}


def outcome(data_root: Path) -> dict[str, str]:
    """Return the digests of the newest model, predictions and metrics."""
    return {name: digest(max(data_root.glob(f"sample/*/{name}/*/{name}"))) for name in COMPARED}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
