"""Parameters of the ``lr_search`` stage."""

from typing import Literal

from pydantic import Field, model_validator

from ..params import Params

# Minimum number of batches per range test, because the first 10 batches are not used to choose a rate.
MIN_BATCHES = 20


class LrSearchParams(Params):
    """Parameters of the learning-rate range test (Smith 2015, arXiv:1506.01186).

    Attributes:
        start_lr: first learning rate of a range test; the rate grows exponentially from there.
        end_lr: last learning rate of a range test.
        num_tests: number of range tests, each with another seed.
        num_iterations: number of batches per range test, each with a higher learning rate; fewer for short trainings.
        smoothing: standard deviation of the kernel that smooths the loss of a range test, in decades (factors of ten)
            of the learning rate.
        diverge_threshold: a range test stops when a batch's loss exceeds this multiple of the lowest loss.
        method: how the learning rate is chosen. With ``auto``, a rule computes the learning rate from batch size and
            momentum, and the range tests check it. With ``minimum``, the learning rate is that at the lowest loss of
            the range tests.
        always: run the range tests even if ``train.lr`` is given, to show the rate that they find.
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
        """Return whether range tests run: always if no ``train.lr`` is given, else only with ``lr_search.always``."""
        return self.always or given_lr is None

    def plan(self, num_batches: int) -> tuple[int, int]:
        """Return the number of range tests before a training of ``num_batches``, and the number of batches per test.

        All range tests together may use 1/20 of the training's batches, or 300 if that is more, but never more than
        1/4. For a very short training, the number of tests is 0.
        """
        allowed = min(max(300, num_batches // 20), num_batches // 4)
        num_tests = min(self.num_tests, allowed // MIN_BATCHES)
        return num_tests, min(self.num_iterations, allowed // max(1, num_tests))

    @model_validator(mode="after")
    def _check(self) -> "LrSearchParams":
        if self.end_lr <= self.start_lr:
            raise ValueError(f"end_lr={self.end_lr:g}: must be above start_lr={self.start_lr:g}; raise it")
        return self
