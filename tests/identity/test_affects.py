"""Which stages a parameter says it can change."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from s10_pipeline.identity.affects import affects, can_change


class Inner(BaseModel):
    free: int = 0
    harmless: Annotated[int, affects()] = 0
    one: Annotated[int, affects("fit")] = 0


class Outer(BaseModel):
    silent: int = 0
    bounded: Annotated[int, affects("fit", "judge")] = Field(0, ge=0)
    inner: Inner = Inner()
    only_judge: Annotated[Inner, affects("judge")] = Inner()


@pytest.mark.parametrize(
    ("parameter", "stages"),
    [
        ("silent", {"fit", "judge", "other"}),
        ("bounded", {"fit", "judge"}),
        ("inner.free", {"fit", "judge", "other"}),
        ("inner.harmless", set()),
        ("inner.one", {"fit"}),
        ("inner.not_declared", {"fit", "judge", "other"}),
        ("not_declared.at_all", {"fit", "judge", "other"}),
        ("only_judge", {"judge"}),
        ("only_judge.free", {"judge"}),
        ("only_judge.harmless", set()),
        ("only_judge.one", set()),
    ],
)
def test_a_parameter_counts_unless_it_or_its_group_says_otherwise(parameter, stages):
    assert {stage for stage in ("fit", "judge", "other") if can_change(Outer, parameter, stage)} == stages


def test_without_a_model_everything_counts():
    assert can_change(None, "a.b", "fit")
