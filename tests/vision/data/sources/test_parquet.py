import contextlib
import io
import json
import os
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from s10_pipeline.identity.digests import sha256_of
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.resize import to_square_rgb
from s10_pipeline.vision.data.sources import class_names, decoding, parquet, read_source
from s10_pipeline.vision.errors import UserError

NAMES = ["ape", "bee", "cat"]


def encode(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(num_images, height=32, width=None, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num_images, height, width or height, 3), np.uint8)


def hub_metadata(names, label="label", feature=None):
    features = {"img": {"_type": "Image"}, label: feature or {"names": names, "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def write(file, images, labels, image="img", label="label", metadata=None, label_type=None, **options):
    structs = [data if isinstance(data, bytes | None) else encode(data) for data in images]
    structs = [{"bytes": data, "path": None} for data in structs]
    columns = {
        image: pa.array(structs, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        label: pa.array(labels, label_type or pa.int64()),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file, **options)


def write_both(folder, train=None, test=None, labels=(0, 1, 2, 0, 1, 2), **kwargs):
    train = noise(6) if train is None else train
    test = noise(3, seed=1) if test is None else test
    write(folder / "train-00000-of-00001.parquet", train, labels, **kwargs)
    write(folder / "test-00000-of-00001.parquet", test, [2, 1, 0], **kwargs)


def read(folder, **params):
    return read_source(IngestParams(source="parquet", path=str(folder), **params))


@pytest.mark.parametrize(
    ("image", "label", "sub_folder"), [("img", "label", "."), ("image", "fine_label", "data"), ("image", "label", "x")]
)
def test_round_trip(tmp_path, image, label, sub_folder):
    write_both(tmp_path / sub_folder, image=image, label=label, metadata=hub_metadata(NAMES, label))
    train, test = read(tmp_path)
    np.testing.assert_array_equal(train.images_nhwc, noise(6))
    np.testing.assert_array_equal(test.images_nhwc, noise(3, seed=1))
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2] and test.labels.tolist() == [2, 1, 0]
    assert train.class_names == test.class_names == tuple(NAMES) and train.paths is None


def test_several_files_and_row_groups_are_read_in_order(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 3)
    images = noise(20)
    write(tmp_path / "train-00001-of-00002.parquet", images[12:], [1] * 8, row_group_size=5)
    write(tmp_path / "train-00000-of-00002.parquet", images[:12], [0] * 12, row_group_size=5)
    write(tmp_path / "test.parquet", images[:1], [0])
    write(tmp_path / ".cache" / "train.parquet", images[:1], [0])
    write(tmp_path / "extra" / "more.parquet", images[:1], [0])
    train, _ = read(tmp_path)
    assert "not extra/more.parquet" in caplog.text
    np.testing.assert_array_equal(train.images_nhwc, images)
    assert train.labels.tolist() == [0] * 12 + [1] * 8


def test_the_layout_of_converted_branches_and_of_cifar100s_labels_the_fine_one(tmp_path):
    for split in ("train", "test"):
        structs = [{"bytes": encode(p)} for p in noise(2)]
        table = pa.table({"img": structs, "coarse_label": [5, 5], "fine_label": [0, 1]})
        (tmp_path / "default" / split).mkdir(parents=True)
        pq.write_table(table, tmp_path / "default" / split / "0000.parquet")
    assert read(tmp_path)[0].labels.tolist() == [0, 1]


@pytest.mark.parametrize("with_threads", [False, True])
def test_mixed_sizes_are_brought_to_image_size(tmp_path, monkeypatch, with_threads):
    monkeypatch.setattr(decoding, "MIN_BYTES_FOR_THREADS", 0 if with_threads else 10**9)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Pillow warns above it, and refuses above twice as many
    images = [noise(1, *size, seed=i)[0] for i, size in enumerate([(64, 64), (32, 32), (80, 50), (20, 90)] * 4)]
    write_both(tmp_path, train=images, labels=[0, 1, 2, 0] * 4, metadata=hub_metadata(NAMES))
    train, test = read(tmp_path, image_size=64)
    assert train.image_size == test.image_size == (64, 64)
    np.testing.assert_array_equal(train.images_nhwc[0], images[0])
    for result, image in zip(train.images_nhwc, images, strict=True):
        np.testing.assert_array_equal(result, to_square_rgb(Image.fromarray(image), 64))


@pytest.mark.parametrize(
    "feature",
    [
        {"num_classes": 3, "names": NAMES, "names_file": None, "id": None, "_type": "ClassLabel"},
        {"names": {"0": "ape", "2": "cat", "1": "bee"}, "_type": "ClassLabel"},
        {"dtype": {"class_label": {"names": NAMES}}, "class_label": {"names": NAMES}},
    ],
)
def test_older_spellings_of_the_names(tmp_path, feature):
    write_both(tmp_path, metadata=hub_metadata(None, feature=feature))
    assert read(tmp_path)[0].class_names == tuple(NAMES)


@pytest.mark.parametrize(
    "metadata", [None, hub_metadata(None, feature={"dtype": "int64", "_type": "Value"}), {b"huggingface": b"{"}]
)
def test_without_names_a_text_file_gives_them_and_else_numbers(tmp_path, metadata):
    write_both(tmp_path, metadata=metadata)
    assert read(tmp_path)[0].class_names == ("class_0", "class_1", "class_2")
    (tmp_path / "labels.txt").write_text("Affe\nBär\nKatze\n", encoding="utf-8")
    assert read(tmp_path)[0].class_names == ("Affe", "Bär", "Katze")
    (tmp_path / "class_names.txt").write_text("x\r\ny\r\nz\r\n\r\n")
    assert read(tmp_path)[0].class_names == ("x", "y", "z")


def test_labels_are_read_with_the_names_of_their_own_file(tmp_path):
    write(tmp_path / "train-0.parquet", noise(3), [0, 1, 2], metadata=hub_metadata(NAMES))
    write(tmp_path / "train-1.parquet", noise(3), [0, 1, 2], metadata=hub_metadata(NAMES[::-1]))
    write(tmp_path / "test.parquet", noise(2), [0, 1], metadata=hub_metadata(["bee", "ape"]))
    train, test = read(tmp_path)
    assert train.class_names == test.class_names == tuple(NAMES)
    assert train.labels.tolist() == [0, 1, 2, 2, 1, 0] and test.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("train", "test"), [(NAMES, None), (None, NAMES), (NAMES, [*NAMES, "dog"])])
def test_files_that_disagree_about_names(tmp_path, train, test):
    for split, names in (("train", train), ("test", test)):
        write(tmp_path / f"{split}.parquet", noise(3), [0, 1, 2], metadata=names and hub_metadata(names))
    told = [", ".join(names or ["none"]) for names in (test, train)]
    with pytest.raises(UserError, match=f"test.parquet has the .* {told[0]}, but train.parquet has {told[1]}; "):
        read(tmp_path)


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        (["0-of-00003", "1-of-00003"], "1 of 3 shards are missing, the first is train-00002"),
        (["1-of-00002"], "1 of 2 .* train-00000"),
        (["0-of-00002", "5-of-00002"], "1 of 2 .* train-00001"),
        (["0-of-00001", "0-of-00002", "1-of-00002"], r"train-\* .*one of [12] shards and one"),
        (["0-of-99999"], "99998 of 99999 .* train-00001"),
        (["0-of-00001", "0-of-00001-1a2b"], "train-00000-of-00001-1a2b-8f2a.* and .*1-8f2a.* are the same shard"),
        (["0-of-00001", "s"], "train-0000s-8f2a.parquet .* beside the shards train-.*two data sets"),
    ],
)
def test_shards_that_are_not_whole(tmp_path, shards, message):
    for shard in shards:
        write(tmp_path / f"train-0000{shard}-8f2a.parquet", noise(3), [0, 1, 2])
    write(tmp_path / "test.parquet", noise(1), [0])
    with pytest.raises(UserError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("claimed", [5, 7, 63, 0])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_footer_that_claims_another_number_of_rows(tmp_path, claimed, split):
    write_both(tmp_path, test=noise(3), labels=[0, 1, 2] * 2)
    if split == "test":  # six rows there, too
        write(tmp_path / "test-00000-of-00001.parquet", noise(6), [0, 1, 2] * 2)
    file = tmp_path / f"{split}-00000-of-00001.parquet"
    data = file.read_bytes()
    for place in range(len(data) - 4 - int.from_bytes(data[-8:-4], "little"), len(data) - 8):
        changed = data[:place] + bytes([2 * claimed]) + data[place + 1 :]  # one byte, in zigzag
        with contextlib.suppress(Exception):
            metadata = pq.read_metadata(io.BytesIO(changed))
            if data[place] == 12 and metadata.num_rows == claimed and metadata.row_group(0).num_rows == 6:
                file.write_bytes(changed)
    with pytest.raises(UserError, match=r"-00000-of-00001.parquet is not a readable parquet file .* rows|no rows"):
        read(tmp_path)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "data_page_size": 1}, {"row_group_size": 1}])
@pytest.mark.parametrize("large", [False, True])
def test_a_batch_is_bounded_in_bytes(tmp_path, monkeypatch, options, large):
    monkeypatch.setattr(parquet, "BATCH_BYTES", 100_000)
    image = encode(noise(1)[0]) + bytes(60_000)  # behind an image, Pillow reads none of it
    kind = pa.struct({"bytes": pa.large_binary() if large else pa.binary()})
    for split in ("train", "test"):
        columns = {"img": pa.array([{"bytes": image}] * 40, kind), "label": [0, 1] * 20}
        pq.write_table(pa.table(columns), tmp_path / f"{split}.parquet", compression="zstd", **options)
    spy = Mock(side_effect=parquet._decode_rows)
    monkeypatch.setattr(parquet, "_decode_rows", spy)
    assert len(read(tmp_path)[0]) == 40 and max(sum(map(len, call.args[0])) for call in spy.call_args_list) < 200_000


def test_cifar10_is_known_by_all_its_labels_in_order(tmp_path, monkeypatch):
    labels = np.array([3, 8, 0, 1, 2, 0, 2, 1, 0], "<i8")
    monkeypatch.setattr(class_names, "CIFAR10_LABELS_SHA256", sha256_of(labels))
    images = [encode(pixels, "JPEG") for pixels in noise(6)]
    write_both(tmp_path / "copy", train=images, labels=labels[:6])
    train, _ = read(tmp_path / "copy")
    assert len(train.class_names) == 10 and train.class_names[3] == "cat"
    assert train.source["title"] == "copy: parquet files, JPEG and PNG images, labels of CIFAR-10"


REFUSED = {
    "no such folder": (lambda root: root.rename(root.with_name("x")), "^ingest.path=.*: no such folder; give"),
    "no train files": (
        lambda root: [path.unlink() for path in root.glob("train*")], r": no train\*.parquet in this folder; give"
    ),
    "no test files": (
        lambda root: [path.unlink() for path in root.glob("test*")], r": no test\*.parquet in this folder; give"
    ),
    "two copies": (
        lambda root: write_both(root / "x"), r"train\*.parquet in several folders \(., x\); give one of them"
    ),
    "labels with gaps and no names": (
        lambda root: write_both(root, labels=[0, 1, 2, 4_000_000_000, 1, 2]),
        "4 classes, but labels up to 4000000000, and no class names; number",
    ),
    "a single class": (
        lambda root: [write(path, noise(1), [0]) for path in root.glob("*.parquet")], "only one class"
    ),
    "a single name": (lambda root: write_both(root, metadata=hub_metadata(["a"])), "parquet schema .*; give two"),
    "equal names": (
        lambda root: write_both(root, metadata=hub_metadata(["same", "same", "other"])), "class names .*; give two"
    ),
    "no rows": (lambda root: write(root / "test-00000-of-00001.parquet", [], []), r"test\*.parquet .*no rows"),
    "names in a pipe": (lambda root: os.mkfifo(root / "labels.txt"), "labels.txt: .*pipe"),
    "names that are no text": (lambda root: (root / "labels.txt").write_bytes(b"\xff\xfe"), "labels.txt: .*not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_the_files_is_said(tmp_path, case):
    change, message = REFUSED[case]
    write_both(tmp_path / "pets")
    change(tmp_path / "pets")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "pets")


@pytest.mark.parametrize(
    "columns", [{"image": "picture"}, {"label": "target"}, {"label": "label", "label_type": pa.float64()}]
)
def test_missing_columns_are_named_with_those_that_are_there(tmp_path, columns):
    write(tmp_path / "train.parquet", noise(6), [0, 1, 2] * 2, **columns)
    write(tmp_path / "test.parquet", noise(1), [0])
    needed = "img or image of bytes|label or fine_label or labels of integers"
    with pytest.raises(UserError, match=rf"train.parquet has no column ({needed}).*, only (picture|img) \("):
        read(tmp_path)


TEXTS = pa.array(["cat", "ape", "cat ", "bee", "ape", "bee"])


@pytest.mark.parametrize("labels", [TEXTS, TEXTS.dictionary_encode(), pa.array([2, 0, 2, 1, 0, 1])])
def test_plain_bytes_texts_and_columns_that_are_named(tmp_path, labels):
    images = [encode(pixels) for pixels in noise(6)]
    table = pa.table({"photo": pa.array(images, pa.large_binary()), "kind": labels, "patient": ["x", "y "] * 3})
    for name, rows in (("train-0", slice(0, 4)), ("valid", slice(4, 6)), ("test", slice(0, 4))):
        pq.write_table(table[rows], tmp_path / f"{name}.parquet")
    train, _ = read(tmp_path, columns={"file": "photo", "label": "kind"})
    np.testing.assert_array_equal(train.images_nhwc, noise(6))
    assert train.labels.tolist() == [2, 0, 2, 1, 0, 1] and train.validation.tolist() == [False] * 4 + [True] * 2
    numbered = pa.types.is_integer(labels.type)
    assert train.class_names == (("class_0", "class_1", "class_2") if numbered else tuple(NAMES))
    with pytest.raises(UserError, match=r"groups in several splits: x \(train, val, test\), y"):
        read(tmp_path, columns={"file": "photo", "label": "kind", "group": "patient"})


@pytest.mark.parametrize(
    ("label", "rule"),
    [(-1, "is -1, labels are 0 to 2"), (3, "is 3, labels are 0 to 2"), (None, "is null"), (" ", "is empty")],
)
def test_a_wrong_label_is_found_in_its_file_and_row(tmp_path, monkeypatch, label, rule):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 4)
    labels, kind = ([*"ababa", label], pa.string()) if label == " " else ([0, 1, 2, 0, 1, label], pa.int64())
    write(tmp_path / "train-0.parquet", noise(3), labels[:3], label_type=kind, metadata=hub_metadata(NAMES))
    write(tmp_path / "train-1.parquet", noise(6), labels, label_type=kind, metadata=hub_metadata(NAMES))
    write(tmp_path / "test.parquet", noise(1), labels[:1], label_type=kind, metadata=hub_metadata(NAMES))
    with pytest.raises(UserError, match=rf"train-1.parquet, row 5 \(from 0\): its label {rule}"):
        read(tmp_path)


@pytest.mark.parametrize(("metadata", "top"), [(hub_metadata(NAMES), 2), (None, 2**63 - 2)])
def test_a_label_beyond_signed_integers(tmp_path, metadata, top):
    write_both(tmp_path, labels=[0, 1, 2, 0, 2**64 - 1, 2], label_type=pa.uint64(), metadata=metadata)
    with pytest.raises(UserError, match=rf"row 4 \(from 0\): its label is {2**64 - 1}, labels are 0 to {top}; remove"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"no image", "not an image"), (None, "without image bytes"), (encode(noise(1)[0])[:900], "not a readable image")],
)
@pytest.mark.parametrize("with_threads", [False, True])
def test_a_broken_image_is_found_in_its_file_and_row(tmp_path, monkeypatch, data, reason, with_threads):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 4)
    monkeypatch.setattr(decoding, "MIN_BYTES_FOR_THREADS", 0 if with_threads else 10**9)
    write_both(tmp_path, train=[*noise(3), b"", *noise(1), data], test=[b"y", *noise(2)])
    place = r"train-00000-of-00001.parquet, row"
    found = rf"{place} 3 \(from 0\): without .*; {place} 5 .*: {reason}.*; test-.*, row 0 .*; remove or replace"
    with pytest.raises(UserError, match=found):
        read(tmp_path)


@pytest.mark.parametrize("damage", [lambda _: b"hello", lambda d: d[:-100], lambda d: d[:500] + bytes(100) + d[600:]])
def test_a_corrupt_file_is_named(tmp_path, damage):
    write_both(tmp_path, write_page_checksum=True)
    file = tmp_path / "test-00000-of-00001.parquet"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"test-00000-of-00001.parquet .*not a readable") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)
