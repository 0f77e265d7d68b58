"""Digests of what is stored, and versions that are links."""

import os
from unittest.mock import Mock

import fsspec
import numpy as np
from kedro.io.core import Version

from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.datasets.kedro_types import JSONDataset
from s10_pipeline.identity.digests import Memo
from s10_pipeline.staleness.contents import content_of, link_version


def test_other_file_systems_have_digests_too(tmp_path):
    memo = Memo(tmp_path / "memo.json")
    # that file system is the whole process's: a name that no other test takes
    dataset = JSONDataset(filepath="memory://there/digested.json", version=Version(None, "1"))
    assert content_of(dataset, "1", memo).digest is None
    dataset.save({"a": 1})
    local = JSONDataset(filepath=str(tmp_path / "x.json"), version=Version(None, "1"))
    local.save({"a": 1})
    assert content_of(dataset, "1", memo).digest == content_of(local, "1", memo).digest
    fsspec.filesystem("memory").pipe("/digested.json/1/digested.json", b"[]")
    assert content_of(dataset, "1", memo).digest != content_of(local, "1", memo).digest


def test_an_image_set_is_there_only_with_its_whole_arrays(shapes, tmp_path):
    dataset = ImageSetDataset(filepath=str(tmp_path / "images.json"), version=Version(None, "1"))
    dataset.save(shapes[0])
    memo = Memo(tmp_path / "memo.json")
    whole = content_of(dataset, "1", memo).digest
    for damage in (lambda file: os.truncate(file, 90), lambda file: file.write_bytes(bytes(file.stat().st_size))):
        for file in (tmp_path / "arrays").iterdir():
            damage(file)
            assert content_of(dataset, "1", memo).digest not in (whole, None), "changed, not missing"
        dataset.encode(shapes[0])  # a later save mends the files
        assert content_of(dataset, "1", memo).digest == whole
        assert np.array_equal(dataset.load().images_nhwc, shapes[0].images_nhwc)
    next((tmp_path / "arrays").iterdir()).unlink()
    assert content_of(dataset, "1", memo).digest is None


def test_where_the_disk_cannot_link_a_copy_stays(tmp_path, monkeypatch):
    dataset = JSONDataset(filepath=str(tmp_path / "x"), version=Version(None, None))
    old, new = [tmp_path / "x" / version / "x" for version in ("old", "new")]
    for path in (old, new):
        path.parent.mkdir(parents=True)
        path.write_text("same")
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", Mock(side_effect=OSError(95, "Operation not supported")))
        assert not link_version(dataset, "old", "new")
    assert new.read_text() == "same" and not new.samefile(old)
    assert link_version(dataset, "old", "new") and new.samefile(old)
