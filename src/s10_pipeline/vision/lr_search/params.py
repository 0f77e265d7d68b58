"""Parameters of the ``lr_search`` stage."""

from typing import Literal

from pydantic import Field, model_validator

from ..params import Params

# A shorter test has too few batches left once its start is cut off.
MIN_BATCHES = 20


class LrSearchParams(Params):
    """The learning-rate range test (Smith 2015, arXiv:1506.01186).

    Attributes:
        start_lr, end_lr: first and last learning rate; it grows exponentially between them.
        num_tests: how many tests, each with a seed of its own.
        num_iterations: batches of a test, each with the next learning rate; fewer in short trainings.
        smoothing: standard deviation of the kernel that smooths the loss, in decades of the rate.
        diverge_threshold: the test stops where a batch's loss exceeds this many times the lowest.
        method: how the rate is chosen.
        always: run the tests where ``train.lr`` is given too, to show the rate that they find.
    """

    start_lr: float = Field(1e-3, gt=0)
    end_lr: float = Field(10.0, gt=0)
    num_tests: int = Field(2, ge=1, le=20)
    num_iterations: int = Field(150, ge=MIN_BATCHES, le=100_000)
    smoothing: float = Field(0.15, gt=0, le=1)
    diverge_threshold: float = Field(20.0, gt=1)
    method: Literal["auto", "minimum"] = "auto"
    always: bool = False

    def runs_test(self, given_lr: float | None) -> bool:
        """Return whether the range test runs, where ``train.lr`` is ``given_lr``."""
        return self.always or given_lr is None

    def plan(self, num_batches: int) -> tuple[int, int]:
        """Return how many tests a training of ``num_batches`` can afford, and the batches of each.

        Together they take at most a twentieth of the training's batches, or 300 if that is more, and never more than
        a quarter of them.
        """
        allowed = min(max(300, num_batches // 20), num_batches // 4)
        num_tests = min(self.num_tests, allowed // MIN_BATCHES)
        return num_tests, min(self.num_iterations, allowed // max(1, num_tests))

    @model_validator(mode="after")
    def _check(self) -> "LrSearchParams":
        if self.end_lr <= self.start_lr:
            raise ValueError(f"end_lr={self.end_lr:g}: must be above start_lr={self.start_lr:g}; raise it")
        return self
