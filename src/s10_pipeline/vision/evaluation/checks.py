"""Whether a stored model, images and sets belong together: each stage may have run again since."""

from typing import Any

from ..data.image_set import ImageSet, content_digest
from ..data.split import Split, indices_digest
from ..errors import UserError
from ..types import Classifier


def check_same_data(model: Classifier, images: ImageSet) -> None:
    """Raises UserError where a stored model meets images that it was not made for."""
    if model.class_names != images.class_names:
        raise UserError(
            f"model: knows {len(model.class_names)} classes ({', '.join(model.class_names[:3])}, ...), the images have "
            f"{len(images.class_names)} ({', '.join(images.class_names[:3])}, ...); train on these images first"
        )
    if model.spec.image_size != images.image_size:
        raise UserError(
            f"model: takes {'x'.join(map(str, model.spec.image_size))} pixels, the images have "
            f"{'x'.join(map(str, images.image_size))}; train on these images first"
        )


def check_provenance(provenance: dict[str, Any], subset: Split | None = None, **images: ImageSet) -> None:
    """Raises UserError where images or set are not those that the stored model and its tables are about.

    That happens when the data stage ran again with other parameters, or a run ended between data and training.

    Args:
        subset: a set that may be of another split than training's; then validation images are ones that training saw.
        images: ``train`` and ``test`` images.
    """
    for split, shown in images.items():
        _check_images(provenance.get("data", {}).get(split, {}), shown, split)
    if subset is not None:
        _check_split(provenance.get("augment", {}), subset)


def _check_images(trained: dict[str, Any], images: ImageSet, split: str) -> None:
    if trained.get("digest") != content_digest(images):
        was, now = (str(source.get("title", "other images")) for source in (trained, images.source))
        what = f"{was} before, {now} now" if was != now else f"{was}, of other parameters or content"
        raise UserError(
            f"{split}_images: newer than the stored model, which knows other ones ({what}); run the whole pipeline, "
            f"or take the images of that time with --load-versions={split}_images:VERSION,{split}_set:VERSION"
        )


def _check_split(trained: dict[str, Any], subset: Split) -> None:
    # what a version without these digests trained passes
    if trained.get("split_digests", {}).get(subset.name) not in (None, indices_digest(subset)):
        then, now = (
            ", ".join(f"augment.{name}={split[name]}" for name in ("val_fraction", "seed") if name in split)
            or "by source"
            for split in (trained, subset.parameters)
        )
        raise UserError(
            f"{subset.name}_set: another split than the stored model was trained with ({then} then, {now} now); run "
            f"the whole pipeline, or take the set of that time with --load-versions={subset.name}_set:VERSION"
        )
