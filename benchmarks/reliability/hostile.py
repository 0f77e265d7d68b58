"""Give hostile inputs to real ``kedro`` processes; each must end with one line that states the reason.

    python benchmarks/reliability/hostile.py [--minutes 12 --work FOLDER --seconds 60]

Expected for each input: a non-zero exit code within 60 s, a last line that starts with "Error:", and no traceback. Each
input is one row of FOLDER/hostile.csv. When called again, the script continues with the inputs that were not yet
rejected.
"""

import argparse
import csv
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from forked import Forked, begun
from PIL import Image

from s10_pipeline.vision.data.resize import describe_rule
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec, classifier_to_bytes

ROOT = Path(__file__).parents[2]
COLUMNS = ("name", "seconds", "exit_code", "outcome", "last_line")
MODEL = "data/sample/06_models/model.safetensors/2026-01-01T00.00.00.000Z/model.safetensors"

# Function that starts a process.
START: type = subprocess.Popen

# In arguments, @ is replaced by the folder of the input.
Make = Callable[[Path], object]


def write(name: str, content: bytes | str) -> Make:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def model(broken: Callable[[bytes], bytes] = bytes, **described: object) -> Make:
    def make(folder: Path) -> None:
        fields = {
            "architecture": {"depth": 8, "width": 4, "stem": "cifar", "dropout": 0.0},
            "class_names": ("a", "b", "c"),
            "mean": (120.0,) * 3,
            "std": (60.0,) * 3,
            "resize": describe_rule((32, 32)),
            "title": "t",
        }
        content = classifier_to_bytes(Classifier(ClassifierSpec(**fields)))
        write(MODEL, broken(redescribed(content, described)))(folder)
        image(folder)

    return make


def redescribed(content: bytes, fields: dict[str, object]) -> bytes:
    """Return a model file with other values in its specification, the only metadata entry of the safetensors file."""
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    ((key, text),) = header["__metadata__"].items()
    header["__metadata__"][key] = json.dumps(json.loads(text) | fields)
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + content[end:]


def image(folder: Path, name: str = "x/1.png", size: tuple[int, int] = (40, 40)) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(folder / name)


def nan_weights(content: bytes) -> bytes:
    return content[:-400] + struct.pack("<f", float("nan")) * 100


def huge_image(folder: Path) -> None:
    model()(folder)
    image(folder, "x/1.png", (1, 1))
    content = bytearray((folder / "x/1.png").read_bytes())
    content[16:24] = struct.pack(">II", 2**30, 2**30)
    (folder / "x/1.png").write_bytes(content)


def sparse(name: str) -> Make:
    def make(folder: Path) -> None:
        write(name, b"")(folder)
        os.truncate(folder / name, 2**40)

    return make


def fifo(name: str) -> Make:
    def make(folder: Path) -> None:
        model()(folder)
        (folder / "x/1.png").unlink()
        (folder / "x").rmdir()
        (folder / name).unlink(missing_ok=True)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / name)

    return make


def listening_socket(folder: Path) -> None:
    model()(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s.png"))


def slip(folder: Path) -> None:
    write("evil", "x")(folder)
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        archive.add(folder / "evil", "../../evil")


def packed(folder: Path) -> None:
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("a/1.png", "x")


def class_folders(*names: str, each: int = 4) -> Make:
    def make(folder: Path) -> None:
        for name in names:
            for number in range(each):
                image(folder, f"x/{name}/{number}.png")

    return make


def linked_in_a_circle(folder: Path) -> None:
    (folder / "x").symlink_to(folder / "y")
    (folder / "y").symlink_to(folder / "x")


def table(**columns: object) -> Make:
    def make(folder: Path) -> None:
        (folder / "x").mkdir()
        for split in ("train", "test"):
            pd.DataFrame(columns).to_parquet(folder / f"x/{split}-00000-of-00001.parquet")

    return make


def sample(params: str, *more: str) -> list[str]:
    return ["run", "--env=sample", f"--params={params}", *more]


def source(name: str, path: str = "@/x") -> list[str]:
    return sample(f"ingest.source={name},ingest.path={path}")


CONFIG = ["run", "--env=sample", "--config=@/c.yml"]
PREDICT = sample("predict.path=@/x", "--pipeline=predict")

# Hostile values of single parameters.
PARAMS = """
ingest.source=cifar11 | ingest.source= | ingest.shapes10.num_train_images=0 | ingest.shapes10.num_train_images=1e15
ingest.image_size=0 | ingest.image_size=1000000 | ingest.image_size=[32] | ingest.shortcut=nothing
ingest.seed=-1 | ingest.seed=99999999999999999999 | ingest.test_fraction=1.5 | ingest.mirrors=ftp | ingest.shapes10=3
train.epochs=many | train.epochs=-1 | train.epochs=1e99 | train.epochs=.inf | train.epochs= | train.epochs | =3 | .=1
train.epochs=${oc.env:HOME} | train.epochs=${ | train.epochs=!!python/object/apply:os.system [id] | train.epochs=&a [*a]
train.epochs=2 train.lr=1 | train..epochs=1 | train=3 | train=null | Train.epochs=1 | nosuch=1 | train.nosuch.deep=1
train.lr=.nan | train.lr=.inf | train.lr=0 | train.lr=-1 | train.lr=0.1.1 | train.momentum=1 | train.momentum=true
train.batch_size=0 | train.batch_size=100000 | train.seed=-3 | train.seed=4294967296 | train.ema_decay=2
train.device=cuda:99 | train.device=tpu | train.precision=fp8 | train.precision=fp16 | train.num_workers=-1
train.num_workers=1000 | train.distributed.num_processes=0 | train.distributed=two | train.schedule=cosinus
train.architecture.depth=9 | train.architecture.width=0 | train.architecture.width=999999999
train.architecture.stem=x | train.warmup_epochs=99 | train.anneal_epochs=99 | train.plateau.factor=1
augment.train=[{Nothing: {}}] | augment.train=[3] | augment.train=HorizontalFlip | augment.val_fraction=1.0
augment.train=[{HorizontalFlip: {p: 7}}] | augment.train=[{HorizontalFlip: {q: 1}}] | augment.pixel_std=[0,0,0]
lr_search.method=best | lr_search.num_tests=0 | lr_search.start_lr=10 | explain.layer=layer9 | explain.num_images=-1
"""

# Name of the input, arguments after ``kedro``, and function that writes its files.
INPUTS: list[tuple[str, list[str], Make | None]] = [
    *((f"--params={text}", sample(text), None) for text in re.split(r" \| |\n", PARAMS.strip())),
    ("unknown environment", ["run", "--env=nowhere"], None),
    ("environment outside", ["run", "--env=../.."], None),
    ("unknown pipeline", ["run", "--env=sample", "--pipeline=nothing"], None),
    ("two kinds of pipelines", ["run", "--env=sample", "--pipeline=data", "--pipelines=training"], None),
    ("unknown tag", ["run", "--env=sample", "--tags=nothing"], None),
    ("unknown node", ["run", "--env=sample", "--from-nodes=nothing"], None),
    ("unknown output", ["run", "--env=sample", "--to-outputs=nothing"], None),
    ("unknown runner", ["run", "--env=sample", "--runner=Nothing"], None),
    ("unknown option", ["run", "--env=sample", "--nothing"], None),
    ("no such version", ["run", "--env=sample", "--pipeline=evaluation", "--load-versions=model:2020"], None),
    ("empty --config", CONFIG, write("c.yml", "")),
    ("list as --config", CONFIG, write("c.yml", "- 1\n- 2\n")),
    ("binary --config", CONFIG, write("c.yml", bytes(range(256)))),
    ("--config that calls Python", CONFIG, write("c.yml", "run: !!python/object/apply:os.getcwd []")),
    ("unclosed --config", CONFIG, write("c.yml", "run: {env: [")),
    ("absent --config", CONFIG, None),
    ("absent --conf-source", ["run", "--env=sample", "--conf-source=@/nothing"], None),
    ("data root is a file", ["run", "--env=sample"], write("data", "x")),
    ("absent folder", source("folder"), None),
    ("folder is a file", source("folder"), write("x", "x")),
    ("empty folder", source("folder"), lambda folder: (folder / "x").mkdir()),
    ("folder with one class", source("folder"), class_folders("cats")),
    ("images beside folders", source("folder"), class_folders(".", "cats", "dogs")),
    ("one image per class", source("folder"), class_folders("cats", "dogs", each=1)),
    (
        "texts named as images",
        source("folder"),
        lambda f: [write(f"x/{c}/{n}.png", "x")(f) for c in "ab" for n in "1234"],
    ),
    ("a circle of links", source("folder"), linked_in_a_circle),
    ("a pipe among the classes", source("folder"), lambda f: [fifo("x/a/9.png")(f), class_folders("a", "b")(f)]),
    ("folder: /dev/zero", source("folder", "/dev/zero"), None),
    ("a zip as cifar10", source("cifar10", "@/photos.zip"), packed),
    ("a pipe as cifar10", source("cifar10"), fifo("x")),
    ("/dev/zero as cifar10", source("cifar10", "/dev/zero"), None),
    ("a terabyte as cifar10", source("cifar10"), sparse("x")),
    ("an archive that climbs", source("cifar10", "@/cifar.tar.gz"), slip),
    ("a half archive", source("cifar100", "@/x.tar.gz"), write("x.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0")),
    ("parquet: garbage", source("parquet"), write("x/train-00000-of-00001.parquet", "PAR1xxxxPAR1")),
    ("parquet: empty folder", source("parquet"), lambda folder: (folder / "x").mkdir()),
    ("parquet: no images", source("parquet"), table(label=[0, 1], text=["a", "b"])),
    ("parquet: no labels", source("parquet"), table(image=[b"x", b"y"])),
    ("parquet: texts as images", source("parquet"), table(image=[b"x", b"y"], label=[0, 1])),
    ("parquet: negative labels", source("parquet"), table(image=[b"x", b"y"], label=[-1, -2])),
    ("parquet: no rows", source("parquet"), table(image=[], label=[])),
    ("parquet: a pipe", source("parquet"), fifo("x/train-00000-of-00001.parquet")),
    ("predict without a model", PREDICT, image),
    ("predict: absent", PREDICT, lambda f: [model()(f), shutil.rmtree(f / "x")]),
    ("predict: no path", ["run", "--env=sample", "--pipeline=predict"], model()),
    ("predict: a pipe", PREDICT, fifo("x")),
    ("predict: a pipe in the folder", PREDICT, fifo("x/1.png")),
    ("predict: a socket", sample("predict.path=@/s.png", "--pipeline=predict"), listening_socket),
    ("predict: /dev/zero", sample("predict.path=/dev/zero", "--pipeline=predict"), model()),
    ("predict: text as image", PREDICT, lambda f: [model()(f), write("x/1.png", "x")(f)]),
    ("predict: 2^60 pixels", PREDICT, huge_image),
    ("predict: empty file", PREDICT, lambda f: [model()(f), write("x/1.png", "")(f)]),
    ("model: empty", PREDICT, model(lambda _: b"")),
    ("model: half", PREDICT, model(lambda content: content[: len(content) // 2])),
    ("model: text", PREDICT, model(lambda _: b"hello world, hello world")),
    ("model: header of 2^62 bytes", PREDICT, model(lambda _: struct.pack("<Q", 2**62) + b"{}")),
    ("model: a pickle", PREDICT, model(lambda _: b"\x80\x04cos\nsystem\n(S'id'\ntR.")),
    ("model: weights not finite", PREDICT, model(nan_weights)),
    ("model: a pipe", PREDICT, lambda f: [fifo(MODEL)(f), image(f)]),
    ("model: equal class names", PREDICT, model(class_names=("a", "a", "a"))),
    ("model: std 0", PREDICT, model(std=(0.0, 0.0, 0.0))),
    ("model: mean not a number", PREDICT, model(mean=(float("nan"), 1.0, 1.0))),
    ("stages: unknown environment", ["stages", "--env=nowhere"], None),
    ("stages: unknown pipeline", ["stages", "--env=sample", "--pipeline=nothing"], None),
    ("compare: absent models", ["compare", "a", "b", "--env=sample"], None),
    ("compare: one model", ["compare", "a"], None),
    ("lineage: unknown artifact", ["lineage", "nothing", "--env=sample"], None),
    ("lineage: absent file", ["lineage", "@/nothing.png", "--env=sample"], None),
    ("prune: a negative number", ["prune", "--keep=-1", "--env=sample"], None),
    ("prune: unknown environment", ["prune", "--env=nowhere"], None),
]


def main() -> None:
    global START
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--work", type=Path, default=Path("/tmp/s10_reliability"))
    parser.add_argument("--seconds", type=float, default=60, help="after which a process hangs; more on a busy machine")
    parser.add_argument("--forked", action="store_true", help="fork processes from one that has imported the project")
    arguments = parser.parse_args()
    START = Forked if arguments.forked else subprocess.Popen
    arguments.work.mkdir(parents=True, exist_ok=True)
    path, until = arguments.work / "hostile.csv", time.monotonic() + 60 * arguments.minutes
    rows = {row["name"]: row for row in csv.DictReader(path.open())} if path.exists() else {}
    for name, command, make in sorted(INPUTS, key=lambda entry: entry[0] in rows):  # new ones first
        if time.monotonic() > until or (name in rows and rows[name]["outcome"] == "refused"):
            continue
        values = attempt(command, make, arguments.work / "hostile", arguments.seconds)
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if not rows:
                writer.writeheader()
            rows[name] = dict(zip(COLUMNS, (name, *values), strict=True))
            writer.writerow(rows[name])
    print(f"{len(rows)} of {len(INPUTS)} inputs: {dict(Counter(row['outcome'] for row in rows.values()))}")
    for row in rows.values():
        if row["outcome"] != "refused":
            print(" | ".join(row.values()))


def attempt(command: list[str], make: Make | None, folder: Path, limit: float) -> tuple[str, str, str, str]:
    """Run the command with an input; return seconds, exit code, outcome and last line."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if make:
        make(folder)
    started = time.monotonic()
    process = START(
        [sys.executable, "-m", "kedro", *(argument.replace("@", str(folder)) for argument in command)],
        cwd=ROOT,
        env={**os.environ, "S10_DATA_ROOT": str(folder / "data"), "COLUMNS": "500"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )
    try:
        output = process.communicate(timeout=limit)[0]
        exit_code, outcome = str(process.returncode), ""
    except subprocess.TimeoutExpired:
        process.kill()
        output, exit_code, outcome = process.communicate()[0], "", "hang"
        if len(begun(output)) > 1:  # a first node has ended
            outcome = "accepted"
    last = (output.rstrip().splitlines() or [""])[-1]
    if not outcome:
        refused = exit_code != "0" and last.startswith("Error:")
        outcome = "accepted" if exit_code == "0" else "refused" if refused else "no error line"
    if "Traceback (most recent call last)" in output:
        outcome = "traceback"
    return f"{time.monotonic() - started:.1f}", exit_code, outcome, last


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
