"""Parameters of the ``lr_search`` stage."""

from typing import Literal

from pydantic import Field, model_validator

from ..params import Params


class LrSearchParams(Params):
    """The learning-rate range test (Smith 2015, arXiv:1506.01186).

    Attributes:
        start_lr, end_lr: first and last learning rate; it grows exponentially between them.
        num_iterations: batches, each with the next learning rate.
        smoothing: standard deviation of the kernel that smooths the loss, in decades of the rate.
        diverge_threshold: the test stops where a batch's loss exceeds this many times the lowest.
        method: the reading that training takes, a key of :data:`.suggestions.READINGS`.
        always: run the test where ``train.lr`` is given too, to show the rate that it finds.
    """

    start_lr: float = Field(1e-5, gt=0)
    end_lr: float = Field(5.0, gt=0)
    num_iterations: int = Field(150, ge=20, le=100_000)
    smoothing: float = Field(0.15, gt=0, le=1)
    diverge_threshold: float = Field(5.0, gt=1)
    method: Literal["steepest", "valley", "minimum_tenth", "minimum"] = "valley"
    always: bool = False

    def runs_test(self, given_lr: float | None) -> bool:
        """Return whether the range test runs, where ``train.lr`` is ``given_lr``."""
        return self.always or given_lr is None

    @model_validator(mode="after")
    def _check(self) -> "LrSearchParams":
        if self.end_lr <= self.start_lr:
            raise ValueError(f"end_lr={self.end_lr:g}: must be above start_lr={self.start_lr:g}; raise it")
        return self
