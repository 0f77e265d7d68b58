"""Declare which stages' results a parameter can change, so that its new value makes only these stages stale."""

from collections.abc import Iterator
from typing import Any


class Affects(tuple[str, ...]):
    """Annotation of a pydantic field: names of the stages that the field can change; created by :func:`affects`."""


def affects(*stages: str) -> Affects:
    """Return an annotation for a parameter's pydantic field that names the only stages which the parameter can change.

    ``affects()`` without names means that the parameter changes no stage's result. A parameter without this annotation
    is assumed to change every stage that receives it. The field may also be a group of parameters.

    Examples:
        >>> class TrainParams(BaseModel):  # doctest: +SKIP
        ...     weight_decay: float = 5e-4
        ...     epochs: Annotated[int, affects("train")] = 50
        ...     num_workers: Annotated[int, affects()] = 2
    """
    return Affects(stages)


def declared_fields(model: Any, parameter: str) -> Iterator[Any]:
    """Yield the pydantic fields that a parameter's dotted name passes: for ``train.epochs``, ``train`` and ``epochs``.

    Stop at the first part of the name that is not a field.
    """
    for key in parameter.split("."):
        if not (field := getattr(model, "model_fields", {}).get(key)):
            return
        yield field
        model = field.annotation


def can_change(model: Any, parameter: str, stage: str) -> bool:
    """Return whether a parameter can change a stage's result, by the :func:`affects` annotations of its fields.

    Args:
        model: pydantic model of the parameters.
        parameter: dotted name of the parameter in ``model``.
    """
    marks = [mark for field in declared_fields(model, parameter) for mark in field.metadata]
    return not any(isinstance(mark, Affects) and stage not in mark for mark in marks)
