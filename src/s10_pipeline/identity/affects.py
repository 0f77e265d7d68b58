"""Parameters declare at their field which stages their value can change."""

from collections.abc import Iterator
from typing import Any


class Affects(tuple[str, ...]):
    """Annotation of a field of a pydantic model, made by :func:`affects`: names of stages."""


def affects(*stages: str) -> Affects:
    """Declare the only stages whose results a parameter, or a group of parameters, can change; no name means none.

    A parameter that declares nothing counts for every stage that is handed its group.

    Examples:
        >>> class TrainParams(BaseModel):  # doctest: +SKIP
        ...     weight_decay: float = 5e-4
        ...     epochs: Annotated[int, affects("train")] = 50
        ...     num_workers: Annotated[int, affects()] = 2
    """
    return Affects(stages)


def declared_fields(model: Any, parameter: str) -> Iterator[Any]:
    """Yield the nested fields of a pydantic model that a dotted name leads through, as far as they are declared."""
    for key in parameter.split("."):
        if not (field := getattr(model, "model_fields", {}).get(key)):
            return
        yield field
        model = field.annotation


def can_change(model: Any, parameter: str, stage: str) -> bool:
    """Return whether a parameter (its dotted name, from the fields of ``model`` on) can change a stage's result."""
    marks = [mark for field in declared_fields(model, parameter) for mark in field.metadata]
    return not any(isinstance(mark, Affects) and stage not in mark for mark in marks)
