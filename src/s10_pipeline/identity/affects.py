"""Declare, at the field of a parameter, which stages its value can change."""

from collections.abc import Iterator
from typing import Any


class Affects(tuple[str, ...]):
    """Annotation of a pydantic field with names of stages, created by :func:`affects`."""


def affects(*stages: str) -> Affects:
    """Declare the only stages whose results a parameter, or a group of parameters, can change.

    ``affects()`` without names means none. A parameter without a declaration is assumed to change every stage that
    receives it.

    Examples:
        >>> class TrainParams(BaseModel):  # doctest: +SKIP
        ...     weight_decay: float = 5e-4
        ...     epochs: Annotated[int, affects("train")] = 50
        ...     num_workers: Annotated[int, affects()] = 2
    """
    return Affects(stages)


def declared_fields(model: Any, parameter: str) -> Iterator[Any]:
    """Yield the fields of a pydantic model along a dotted name, up to the first name that is not a field."""
    for key in parameter.split("."):
        if not (field := getattr(model, "model_fields", {}).get(key)):
            return
        yield field
        model = field.annotation


def can_change(model: Any, parameter: str, stage: str) -> bool:
    """Return whether a parameter can change a stage's result.

    Args:
        model: pydantic model of the parameters.
        parameter: dotted name of the parameter in ``model``.
    """
    marks = [mark for field in declared_fields(model, parameter) for mark in field.metadata]
    return not any(isinstance(mark, Affects) and stage not in mark for mark in marks)
