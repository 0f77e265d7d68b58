import logging
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.data.params import AugmentParams, IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.errors import UserError

LABELS = ["cat", "007", "10"]
ROWS = pd.DataFrame(
    {
        "file": [f"photos/p{i // 2:02}_{i}.png" for i in range(24)],
        "label": [LABELS[i // 2 % 3] for i in range(24)],
        "patient": [i // 2 for i in range(24)],
        "split": ["train", "Test", "training", "VALIDATION"] * 6,
    }
)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    for i, file in enumerate(ROWS["file"]):
        Image.fromarray(noise(i)).save(tmp_path / file)
    return tmp_path


def read(table, rows=ROWS, **params):
    if rows is not None:
        rows.to_csv(table, index=False)
    return read_source(IngestParams.model_validate({"source": "csv", "path": str(table), **params}))


def test_rows_become_images_labels_and_splits(root):
    train, test = read(root / "t.csv", ROWS.drop(columns="patient"))
    assert train.class_names == test.class_names == ("007", "10", "cat")
    is_test = ROWS["split"] == "Test"
    assert train.paths == tuple(ROWS["file"][~is_test])
    assert train.validation.tolist() == (ROWS["split"][~is_test] == "VALIDATION").tolist()
    for images, numbers in ((train, np.flatnonzero(~is_test)), (test, np.flatnonzero(is_test))):
        np.testing.assert_array_equal(images.images_nhwc, [noise(i) for i in numbers])
        assert [images.class_names[label] for label in images.labels] == ROWS["label"][numbers].tolist()
    assert train.source["title"] == "t.csv: a table of images" and str(root) not in str(train.source)


def as_written(how, root):
    """The rows in the form that a program writes, repeated and blank lines among them; and the parameters for it."""
    rows, params = ROWS.drop(columns="split").rename(columns=str.upper), {}
    options = {"index": False}
    if how == "from Windows":
        rows = pd.concat([rows, rows[:2]])
        rows["FILE"] = rows["FILE"].str.replace("/", "\\")
        options |= {"sep": ";", "encoding": "utf-8-sig", "lineterminator": "\r\n\r\n"}
    elif how == "tabs, absolute paths":
        rows["FILE"] = [str(root / file) for file in rows["FILE"]]
        options |= {"sep": "\t"}
    elif how == "other names":
        rows["FILE"] = "./" + rows["FILE"].str.removeprefix("photos/") + " "
        rows.columns = ["scan", " diagnosis", "case"]
        rows.insert(0, "Diagnosis", "benign")
        columns = {"file": "Scan", "label": "diagnosis", "group": "case"}
        params = {"image_root": str(root / "photos"), "columns": columns}
    table = root / "t.csv"
    if how == "parquet":
        rows.assign(LABEL=rows["LABEL"].astype("category"), thumbnail=b"x").to_parquet(table)
    else:
        rows.to_csv(table, **options)
    if "tabs" in how:  # also at the end of each row
        table.write_text(re.sub("(?<=[0-9])\n", "\t\n", table.read_text()))
    return table, params


@pytest.mark.parametrize("how", ["from Windows", "tabs, absolute paths", "other names", "parquet"])
def test_tables_as_programs_write_them(root, how, caplog):
    plain, _ = read(root / "plain.csv", ROWS.drop(columns="split"))
    table, params = as_written(how, root)
    caplog.set_level(logging.INFO)
    train, test = read(table, None, **params)
    assert content_digest(train) == content_digest(plain)
    assert "file is column " in caplog.text and "group is column " in caplog.text
    assert ("2 rows that repeat earlier ones" in caplog.text) == ("Windows" in how)
    assert not set(train.groups) & set(test.groups)
    train_set, val_set, _ = build_sets(train, test, AugmentParams(val_fraction=0.3))
    assert not set(train.groups[train_set.indices]) & set(train.groups[val_set.indices])
    assert set(train.labels[val_set.indices]) == {0, 1, 2}


def test_all_that_is_wrong_is_told_in_one_error(root, caplog):
    wrong = ROWS.assign(split=ROWS["split"].replace("Test", "val")).astype(str)
    wrong.loc[[0, 2, 4, 6, 8, 10, 12], "file"] = [f"gone{i}.png" for i in range(7)]
    wrong.loc[1, "label"], wrong.loc[3, "patient"], wrong.loc[5, "split"] = " \n", "", "holdout"
    wrong.loc[7, "label"], wrong.loc[9, "file"] = "dog", wrong["file"][11]
    with pytest.raises(UserError) as error:
        read(root / "t.csv", wrong)
    told = str(error.value)
    for fact in (
        "no such file: row 2 (", "gone0.png", "gone4.png", "2 more", "no label: row 3 (", "no group: row 5 (",
        "split is none of train, val, test: row 7 (", "holdout", "no training image of this class: row 9 (dog",
        "with several labels, splits or groups: row 11 (", "row 13 (",
    ):  # fmt: skip
        assert fact in told, fact
    assert "\n" not in told and "gone6.png" in caplog.text


REFUSED = {
    "another encoding": ("file,label\nphotos/p00_0.png,Kätzchen\n".encode("latin-1"), {}, "line 2 is not UTF-8; save"),
    "nothing": (b"", {}, "No columns to parse .*; give a table of images"),
    "ragged lines": (b"file,label\na,b.png,cat\na.png,cat\n,,,,\n", {}, "Expected 3 fields .*; give a table of images"),
    "commas without quotes": (
        b"file,label\n0.png,salmon,raw\n1.png,salmon,cooked\n2.png,cod,raw\n", {}, "more cells .*; put quotes around"
    ),
    "no column": (b"id,label\n1,cat\n", {}, "ingest.columns.file=null: .* has id, label; name one"),
    "another column": (b"file,label\n", {"columns": {"split": "fold"}}, "ingest.columns.split=fold: .* file, label; "),
    "one class": (b"file,label\nphotos/p00_0.png,cat\n", {}, r"one class only \(cat\)"),
    "a pattern beside the paths": (
        None, {"group_pattern": r"p0(\d)_"}, r"finds no group in photos/p10_20.png, .*; give"
    ),
    "groups in two splits": (
        None, {"columns": {"split": "split"}}, r"groups in several splits: 0 \(train, test\), .*7 more"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused(root, case):
    content, params, message = REFUSED[case]
    (root / "t.csv").write_bytes(content or b"")
    rows = None if content is not None else ROWS if "splits" in case else ROWS[["file", "label"]]
    with pytest.raises(UserError, match=message):
        read(root / "t.csv", rows, **params)


@pytest.mark.parametrize("path", ["gone.csv", "photos"])
def test_a_path_that_is_no_file(root, path):
    with pytest.raises(UserError, match=r"^ingest.path=.*; give a table of images as CSV, TSV or parquet"):
        read(root / path, None)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source": "csv", "path": "x", "group_pattern": r"p\d"}, "must be a regular expression with one"),
        ({"source": "csv", "path": "x", "group_pattern": "(p"}, "must be a regular expression with one"),
        ({"source": "parquet", "path": "x", "group_pattern": "(p)"}, "only source=folder or csv takes it"),
        ({"source": "folder", "path": "x", "columns": {"file": "f"}}, "only source=csv or parquet takes it"),
        ({"source": "parquet", "path": "x", "columns": {"split": "f"}}, "of one split each"),
        ({"source": "csv"}, "reads a table; give it as ingest.path"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    with pytest.raises(ValueError, match=message):
        IngestParams.model_validate(params)


def test_groups_by_a_pattern_on_paths_of_a_folder(root):
    for file, label in zip(ROWS["file"], ROWS["label"], strict=True):
        (root / "classes" / label).mkdir(parents=True, exist_ok=True)
        (root / file).rename(root / "classes" / label / file.rpartition("/")[2])
    train, test = read_source(IngestParams(source="folder", path=str(root / "classes"), group_pattern=r"/(p\d+)_"))
    groups = [{path.rpartition("/")[2].partition("_")[0] for path in images.paths} for images in (train, test)]
    assert not groups[0] & groups[1] and len(np.unique(train.groups)) == len(groups[0])


@pytest.mark.parametrize("num_damaged", [3, 8])
def test_damaged_images_are_all_listed_or_left_out_and_noted(root, caplog, num_damaged):
    rows = ROWS.drop(columns="patient").drop(index=[21, 23])
    damaged = rows["file"][:num_damaged].tolist()
    for file in damaged:
        (root / file).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"p00_0.png: not an image .*give ingest.on_bad_image=skip"):
        read(root / "t.csv", rows)
    assert all(any(file in line for line in caplog.messages) for file in damaged)
    assert not any("\n" in line for line in caplog.messages), "the terminal would show it as a backslash and an n"
    train, test = read(root / "t.csv", None, on_bad_image="skip")
    left = rows[~rows["file"].isin(damaged)]
    for images, chosen in ((train, left["split"] != "Test"), (test, left["split"] == "Test")):
        assert images.paths == tuple(left["file"][chosen])
        np.testing.assert_array_equal(images.images_nhwc, [noise(i) for i in left.index[chosen]])
        assert set(images.source["skipped"]) <= set(damaged)
    assert {**train.source["skipped"], **test.source["skipped"]}.keys() == set(damaged)
    assert train.validation.sum() == (left["split"] == "VALIDATION").sum()


def test_a_split_of_damaged_images_alone_is_an_error(root):
    for file in ROWS["file"][ROWS["split"] == "Test"]:
        (root / file).write_bytes(b"no image")
    with pytest.raises(UserError, match="no test image can be read"):
        read(root / "t.csv", ROWS.drop(columns="patient"), on_bad_image="skip")
