"""Declare which stages' results a parameter can change, so that its new value makes only these stages stale."""

from collections.abc import Iterator
from typing import Any


class Affects(tuple[str, ...]):
    """Annotation of a pydantic field, made by :func:`affects`: the stages whose results the field can change."""


def affects(*stages: str) -> Affects:
    """Return an annotation for a pydantic field, saying that its value can change the results of these stages only.

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
    """Yield the nested pydantic fields of a dotted parameter name: for ``train.epochs``, ``train`` and then ``epochs``.

    Stop at the first part of the name that is not a field.
    """
    for key in parameter.split("."):
        if not (field := getattr(model, "model_fields", {}).get(key)):
            return
        yield field
        model = field.annotation


def can_change(model: Any, parameter: str, stage: str) -> bool:
    """Return whether a parameter can change a stage's result, according to its :func:`affects` annotations.

    Args:
        model: pydantic model of the parameters.
        parameter: dotted name of the parameter in ``model``.
    """
    marks = [mark for field in declared_fields(model, parameter) for mark in field.metadata]
    return not any(isinstance(mark, Affects) and stage not in mark for mark in marks)
