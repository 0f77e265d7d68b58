"""Parameters of the ``data`` stage: the groups ``ingest`` and ``augment`` of the configuration."""

import re
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ...identity.affects import affects
from ..errors import did_you_mean
from ..params import Params
from .faults import parse_faults

Pixel = Annotated[float, Field(ge=0, le=255)]
# Standard deviation of a colour channel. Pixels are divided by it, and much less than 0.01 would overflow float32; the
# measured deviations are at least 1.
Deviation = Annotated[float, Field(ge=0.01, le=255)]

# Value of ``ingest.source`` -> name of the module in ``sources`` that reads this kind of source.
SOURCES = {
    "cifar10": "archive",
    "cifar100": "archive",
    "parquet": "parquet",
    "csv": "table",
    "folder": "folder",
    "shapes10": "shapes10",
}

# Parameter of ``ingest`` that only some sources use -> values of ``ingest.source`` with which it may be given.
TAKEN_BY = {"columns": ("csv", "parquet"), "image_root": ("csv",), "group_pattern": ("folder", "csv")}


class Shapes10Params(Params):
    """Numbers of training and test images that ``ingest.source=shapes10`` draws.

    Attributes:
        num_train_images: number of training images that ``shapes10`` draws.
        num_test_images: number of test images that ``shapes10`` draws.
    """

    num_train_images: int = Field(4000, ge=20, le=1_000_000)
    num_test_images: int = Field(1000, ge=10, le=1_000_000)


class ColumnsParams(Params):
    """Column names of a table (``csv``) or of ``parquet`` files; null looks for the usual names.

    Attributes:
        file: name of the column with the image's path (``csv``) or its encoded bytes (``parquet``); null: one of the
            usual names.
        label: name of the column with the image's class; null: one of the usual names.
        split: name of the column with train, val or test for each image (``csv`` only); null: one of the usual names.
        group: name of the column with the image's group; images of one group are never divided between splits. For
            ``parquet``, images are grouped only if ``ingest.columns.group`` is given.
    """

    file: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None


class IngestParams(Params):
    """Parameters of the data source: where images come from, and how they are read.

    Attributes:
        source: kind of source, one of :data:`SOURCES`.
        path: path of the data: of the archive or its folder (``cifar10``, ``cifar100``), of the folder of parquet files
            or class folders (``parquet``, ``folder``), or of the table (``csv``). A path may begin with ``~``, the home
            folder; a relative path begins at the working directory.
        columns: column names of a table or of parquet files.
        image_root: folder that the paths in a table are relative to; null: the table's own folder.
        group_pattern: regular expression that finds the name of an image's group in its path (``folder``, ``csv``) with
            its one capturing group; images of one group are never divided between splits. For ``csv``, the pattern
            replaces a group column.
        on_bad_image: whether an image that cannot be read ends the stage (``fail``) or is left out and listed
            (``skip``).
        image_size: height and width in pixels of every stored image.
        seed: seed of the images that ``shapes10`` draws, of the test split of a source without test images, and of
            faults planted by ``ingest.plant``.
        test_fraction: share of each class that becomes test data if the source has no test images.
        download_dir: folder for downloaded archives. If ``ingest.path`` has no archive, this folder is searched before
            a download.
        mirrors: further addresses of the archive (including its file name), tried in this order after the official one.
        shortcut: for ``shapes10`` only: class whose *training* images get a corner tag, to see whether the report
            exposes such a shortcut.
        plant: faults to plant in the data on purpose, joined by ``+``: ``labels:SHARE``, ``labels_similar:SHARE``,
            ``duplicates:NUMBER``, ``leak:NUMBER``, ``leak:NUMBER:reencoded|flipped|cropped``, ``starve:CLASS:NUMBER``,
            ``shift:blur|brightness``.
        corrections: ``corrections.csv`` file from a report, which relabels or drops training and validation images.
    """

    source: str = "cifar10"
    path: str | None = None
    columns: ColumnsParams = ColumnsParams()
    image_root: str | None = None
    group_pattern: str | None = None
    on_bad_image: Literal["fail", "skip"] = "fail"
    image_size: int = Field(32, ge=8, le=1024)
    seed: int = Field(0, ge=0, lt=2**32)
    test_fraction: float = Field(0.2, gt=0, lt=1)
    download_dir: Annotated[str, affects()] = "data/01_raw"  # the archive's checksum is checked
    mirrors: Annotated[tuple[str, ...], affects()] = ()
    shortcut: str | None = None
    plant: str | None = None
    corrections: str | None = None
    shapes10: Shapes10Params = Shapes10Params()

    @model_validator(mode="after")
    def _check(self) -> "IngestParams":
        if self.source not in SOURCES:
            raise ValueError(f"source={self.source}: not a known source; {did_you_mean(self.source, SOURCES)}")
        if self.shortcut is not None:
            from .sources.outlines import SHAPE_NAMES

            if self.source != "shapes10":
                raise ValueError(f"shortcut={self.shortcut}: only source=shapes10 draws tags; leave it null")
            if self.shortcut not in SHAPE_NAMES:
                remedy = did_you_mean(self.shortcut, SHAPE_NAMES)
                raise ValueError(f"shortcut={self.shortcut}: no shape of this name; {remedy}")
        if self.source in ("parquet", "folder", "csv") and not self.path:
            what = "table" if self.source == "csv" else "folder"
            raise ValueError(f"path=null: source={self.source} reads a {what}; give it as ingest.path={what.upper()}")
        for name, sources in TAKEN_BY.items():
            if (value := getattr(self, name)) not in (None, ColumnsParams()) and self.source not in sources:
                raise ValueError(f"{name}={value}: only source={' or '.join(sources)} takes it; leave it null")
        if self.columns.split and self.source == "parquet":
            raise ValueError(f"columns.split={self.columns.split}: parquet files are of one split each; leave it null")
        if self.plant is not None:
            parse_faults(self.plant)
        return self

    @field_validator("group_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        with suppress(re.error):
            if pattern is None or re.compile(pattern).groups == 1:
                return pattern
        raise ValueError("must be a regular expression with one (...) around the name of an image's group")


def _spelled_out(item: Any) -> Any:
    """Convert a transform without arguments, ``HorizontalFlip`` or ``HorizontalFlip:``, to ``HorizontalFlip: {}``."""
    if isinstance(item, str):
        return {item: {}}
    return {name: {} if value is None else value for name, value in item.items()} if isinstance(item, dict) else item


Transform = Annotated[dict[str, dict[str, Any]], BeforeValidator(_spelled_out)]


class AugmentParams(Params):
    """Parameters of the augmentation of training images, and of the validation split.

    Attributes:
        train: albumentations transforms of training images in their order, each written as ``NAME: {arguments}``.
        val_fraction: share of each class of the training images that is held out for validation, at least one image per
            class; unused if the source assigns validation images itself.
        seed: seed of the validation split, and of the augmented examples in the preview figure.
        pixel_mean: mean of each colour channel (RGB) for normalisation, on the scale of pixel values 0-255; null:
            measured on the training images that remain after the split.
        pixel_std: standard deviation of each colour channel (RGB) for normalisation, on the scale of pixel values
            0-255; null: measured on the training images that remain after the split.
        num_preview_images: number of rows in the figure that shows original beside augmented images.
    """

    train: tuple[Transform, ...] = ()
    val_fraction: float = Field(0.1, gt=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**32)
    pixel_mean: tuple[Pixel, Pixel, Pixel] | None = None
    pixel_std: tuple[Deviation, Deviation, Deviation] | None = None
    num_preview_images: int = Field(8, ge=1, le=50)

    @field_validator("pixel_mean", "pixel_std")
    @classmethod
    def _grey_levels(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """Reject means and deviations for pixel values 0-1, as published for ImageNet; those for 0-255 are larger."""
        if values is not None and 0 < max(values) <= 1:
            raise ValueError("must be for pixel values 0-255, but these are for pixel values 0-1; multiply by 255")
        return values
