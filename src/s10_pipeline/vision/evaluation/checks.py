"""Check that a stored model, images and splits belong together, because a stage may have been rerun alone."""

from typing import Any

from ..data.image_set import ImageSet, content_digest
from ..data.split import Split, indices_digest
from ..errors import UserError
from ..types import Classifier


def check_same_data(model: Classifier, images: ImageSet) -> None:
    """Raise UserError if the images have other class names or another size than those the model was trained on."""
    if model.class_names != images.class_names:
        raise UserError(
            f"model: knows {len(model.class_names)} classes ({', '.join(model.class_names[:3])}, ...), the images have "
            f"{len(images.class_names)} ({', '.join(images.class_names[:3])}, ...); train on these images first"
        )
    if model.spec.image_size != images.image_size:
        raise UserError(
            f"model: takes images of {'x'.join(map(str, model.spec.image_size))} pixels, but these images have "
            f"{'x'.join(map(str, images.image_size))}; train on these images first"
        )


def check_provenance(provenance: dict[str, Any], subset: Split | None = None, **images: ImageSet) -> None:
    """Raise UserError if the images or the split differ from those with which the stored model was trained.

    They differ if the data stage ran again with other parameters and training has not followed yet.

    Args:
        provenance: the stored account of the training, which holds digests of its images and splits.
        subset: the split to check; None checks none. With another split, validation images may be ones that the model
            was trained on.
        images: image sets to check, by name: ``train``, ``test``.
    """
    for split, shown in images.items():
        _check_images(provenance.get("data", {}).get(split, {}), shown, split)
    if subset is not None:
        _check_split(provenance.get("augment", {}), subset)


def _check_images(trained: dict[str, Any], images: ImageSet, split: str) -> None:
    if trained.get("digest") != content_digest(images):
        was, now = (str(source.get("title", "other images")) for source in (trained, images.source))
        difference = f"{was} before, {now} now" if was != now else f"{was}, of other parameters or content"
        raise UserError(
            f"{split}_images: differ from the images that the stored model was trained with ({difference}); run the "
            f"whole pipeline, or load the earlier images with "
            f"--load-versions={split}_images:VERSION,{split}_set:VERSION"
        )


def _check_split(trained: dict[str, Any], subset: Split) -> None:
    if trained.get("split_digests", {}).get(subset.name) != indices_digest(subset):
        then, now = (
            ", ".join(f"augment.{name}={split[name]}" for name in ("val_fraction", "seed") if name in split)
            or "by source"
            for split in (trained, subset.parameters)
        )
        raise UserError(
            f"{subset.name}_set: differs from the split that the stored model was trained with (parameters: {then} "
            f"then, {now} now); run the whole pipeline, or load the earlier split with "
            f"--load-versions={subset.name}_set:VERSION"
        )
