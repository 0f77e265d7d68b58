import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.resize import describe_rule, to_square_rgb
from s10_pipeline.vision.data.sources import archive, read_source
from s10_pipeline.vision.data.sources.archive import Archive
from s10_pipeline.vision.errors import UserError

REFUSING_URL = "http://127.0.0.1:9/cifar-10-python.tar.gz"
NUM_IMAGES_A_BATCH = 4


def md5(data):
    return hashlib.md5(data).hexdigest()


class Official:
    """A tiny archive in the official format, with a reader that knows its checksums; ``file`` is its "web server"."""

    def __init__(self, folder, base=CIFAR10):
        rng = np.random.default_rng(0)
        fine = base is CIFAR100
        self.names = ["apple", "bear", "crab"] if fine else ["airplane", "automobile", "bird"]
        self.images_nhwc, self.labels, contents = [], [], {}
        for name, _ in base.train_list + base.test_list:
            images_nchw = rng.integers(0, 256, (NUM_IMAGES_A_BATCH, 3, 32, 32), np.uint8)
            labels = rng.integers(0, 3, NUM_IMAGES_A_BATCH).tolist()
            batch = {"data": images_nchw.reshape(-1, 3072), "filenames": ["x.png"] * NUM_IMAGES_A_BATCH}
            batch |= {"fine_labels": labels, "coarse_labels": [7] * 4} if fine else {"labels": labels}
            contents[name] = pickle.dumps(batch, protocol=2)
            self.images_nhwc.append(images_nchw.transpose(0, 2, 3, 1))
            self.labels += labels
        contents[base.meta["filename"]] = pickle.dumps({base.meta["key"]: self.names}, protocol=2)
        self.images_nhwc = np.concatenate(self.images_nhwc)
        folder.mkdir(parents=True)
        self.file = folder / base.filename
        with tarfile.open(self.file, "w:gz") as tar:
            for name, data in {**contents, "readme.html": b"<html>", "../../escaped": b"evil"}.items():
                member = tarfile.TarInfo(f"{base.base_folder}/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

        attributes = {
            "url": self.file.as_uri(),
            "tgz_md5": md5(self.file.read_bytes()),
            "train_list": [[name, md5(contents[name])] for name, _ in base.train_list],
            "test_list": [[name, md5(contents[name])] for name, _ in base.test_list],
            "meta": {**base.meta, "md5": md5(contents[base.meta["filename"]])},
        }
        self.reader = type("Reader", (base,), attributes)
        self.archive = Archive("CIFAR-10, official archive", self.reader, self.file.stat().st_size)


@pytest.fixture
def official(tmp_path, monkeypatch):
    result = Official(tmp_path / "server")
    monkeypatch.setitem(archive.ARCHIVES, "cifar10", result.archive)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return result


def read(**params):
    return read_source(IngestParams(**{"source": "cifar10", **params}))


def never_open_anything(monkeypatch):
    """Without these, what is opened before its checksum matched is an error."""
    monkeypatch.delattr(archive.tarfile, "open")
    monkeypatch.delattr(pickle, "load")


def test_pixels_labels_and_names(official):
    train, test = read(path=str(official.file))
    assert train.images_nhwc.dtype == np.uint8
    np.testing.assert_array_equal(train.images_nhwc, official.images_nhwc[:20])
    np.testing.assert_array_equal(test.images_nhwc, official.images_nhwc[20:])
    assert [*train.labels, *test.labels] == official.labels
    assert train.class_names == test.class_names == ("airplane", "automobile", "bird")
    assert train.images_nhwc.flags.c_contiguous
    assert train.source == {
        "name": "cifar10", "split": "train", "title": "CIFAR-10, official archive", "resize": describe_rule((32, 32)),
        "checksum": f"md5:{md5(official.file.read_bytes())}", "parameters": {"source": "cifar10", "image_size": 32},
    }  # fmt: skip
    assert test.source == {**train.source, "split": "test"}


def test_cifar100_takes_the_fine_labels(tmp_path, monkeypatch):
    official = Official(tmp_path / "server", CIFAR100)
    monkeypatch.setitem(archive.ARCHIVES, "cifar100", official.archive)
    train, test = read(source="cifar100", path=str(tmp_path / "server"))
    assert [*train.labels, *test.labels] == official.labels and train.class_names == ("apple", "bear", "crab")
    assert train.source["name"] == "cifar100"


def test_another_image_size_goes_through_the_one_resize_rule(official):
    train, _ = read(path=str(official.file), image_size=48)
    image = Image.fromarray(np.ascontiguousarray(official.images_nhwc[3]))
    np.testing.assert_array_equal(train.images_nhwc[3], to_square_rgb(image, 48))


@pytest.mark.parametrize("place", ["file", "folder", "download_dir", "home"])
def test_an_archive_that_is_there_is_read_where_it_is(official, tmp_path, monkeypatch, place):
    official.reader.url = REFUSING_URL
    monkeypatch.setenv("HOME", str(tmp_path))
    params = {
        "file": {"path": "server/cifar-10-python.tar.gz"},
        "folder": {"path": "server"},
        "download_dir": {"path": "nowhere", "download_dir": "server"},
        "home": {"path": "~/server"},
    }[place]
    train, _ = read(**params)
    assert len(train) == 20 and [p for p in tmp_path.rglob("*") if p.is_file()] == [official.file]


@pytest.mark.parametrize("path", [None, "nowhere", "server/other.tar.gz"])
def test_a_missing_archive_is_downloaded_once(official, tmp_path, path):
    train, _ = read(path=path, download_dir="raw")
    official.reader.url = REFUSING_URL
    again, _ = read(path=path, download_dir="raw")
    assert (tmp_path / "raw" / "cifar-10-python.tar.gz").read_bytes() == official.file.read_bytes()
    np.testing.assert_array_equal(train.images_nhwc, again.images_nhwc)


def test_mirrors_are_tried_in_order(official, tmp_path):
    official.reader.url = REFUSING_URL
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(official.file.read_bytes()[::-1])
    train, _ = read(download_dir="raw", mirrors=[wrong.as_uri(), official.file.as_uri()])
    assert len(train) == 20
    official.reader.url = wrong.as_uri()
    with pytest.raises(UserError, match=r"no address served it \(.*checksum\); put"):
        read(download_dir="other")


def test_offline_without_the_archive_names_file_place_and_sample(official):
    official.reader.url = REFUSING_URL
    with pytest.raises(UserError) as error:
        read(download_dir="data/01_raw")
    assert str(error.value) == (
        "ingest.source=cifar10: no archive cifar-10-python.tar.gz in data/01_raw, and no network "
        "(127.0.0.1: Connection refused); put cifar-10-python.tar.gz into data/01_raw, or run with --env=sample"
    )


@pytest.mark.parametrize("setting", ["path", "download_dir"])
def test_a_wrong_archive_of_the_user_is_an_error_and_stays(official, tmp_path, monkeypatch, setting):
    never_open_anything(monkeypatch)
    mine = tmp_path / "mine" / "cifar-10-python.tar.gz"
    mine.parent.mkdir()
    content = official.file.read_bytes()[:-1] + b"?"
    mine.write_bytes(content)
    told = f"^ingest.{setting}=mine/.*: not the official archive, its MD5 is {md5(content)}"
    with pytest.raises(UserError, match=told):
        read(**{setting: "mine"})
    assert mine.read_bytes() == content


def test_a_truncated_archive_is_called_truncated(official, monkeypatch):
    never_open_anything(monkeypatch)
    size = official.archive.num_bytes
    official.file.write_bytes(official.file.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"truncated, {size - 100:,} of {size:,} bytes are there; delete it"):
        read(download_dir="server")
    with pytest.raises(UserError, match=f"truncated, {size - 100:,} of {size:,} bytes are there; give the official"):
        read(path="server")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("photos.zip", "not cifar-10-python.tar.gz, .*; unpack it and give the folder"),
        ("photos.TAR.GZ", "unpack it"),
        ("photos/cat/1.jpg", "no cifar-10-python.tar.gz there; give ingest.source=folder"),
        ("photos/data/train.parquet", "give ingest.source=parquet"),
        ("train.parquet", "give its folder with ingest.source=parquet"),
        ("cifar-100-python.tar.gz", "give ingest.source=cifar100"),
        ("photos/cifar-100-python.tar.gz", "give ingest.source=cifar100"),
        ("notes.txt", "not cifar-10-python.tar.gz, .*; give the official archive"),
    ],
)
def test_what_another_source_reads_is_told_and_never_deleted(official, tmp_path, name, remedy):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * 10)
    with pytest.raises(UserError, match=remedy) as error:
        read(path=name.partition("/")[0])
    assert "delete" not in str(error.value)
    assert not (tmp_path / "data").exists(), "nothing is downloaded"


def test_the_other_sources_tell_too(tmp_path):
    for name in ("parquet/data/train.parquet", "images/cat/1.png", "photos.zip"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for source, name, remedy in (
        ("folder", "parquet", "one class only .*; give ingest.source=parquet"),
        ("folder", "photos.zip", "is a file; unpack it"),
        ("parquet", "images", "no train.*; give ingest.source=folder"),
        ("parquet", "photos.zip", "is a file; unpack it"),
    ):
        with pytest.raises(UserError, match=remedy):
            read(source=source, path=str(tmp_path / name))


def test_an_archive_that_does_not_end_is_not_read(official, tmp_path):
    os.mkfifo(tmp_path / "cifar-10-python.tar.gz")
    with pytest.raises(UserError, match=r"^ingest.path=.* is not a regular file; give the archive or its folder"):
        read(path=str(tmp_path))


def test_a_download_dir_that_is_a_file(official, tmp_path):
    (tmp_path / "raw").write_text("")
    with pytest.raises(UserError, match=r"^ingest.download_dir=raw: cannot write raw/cifar-10.*; give a folder with"):
        read(download_dir="raw")


def test_the_official_addresses_and_sizes_are_in_place():
    ten, hundred = archive.ARCHIVES["cifar10"], archive.ARCHIVES["cifar100"]
    assert ten.reader is CIFAR10 and hundred.reader is CIFAR100
    assert Path(ten.reader.url).name == "cifar-10-python.tar.gz"
    assert ten.reader.tgz_md5 == "c58f30108f718f92721af3b95e74349a"
    assert (ten.num_bytes, hundred.num_bytes) == (170498071, 169001437)
