"""Checkpoints of a GPU training, written while the next epoch trains."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from .checkpoints import RunCheckpoints, State


class CheckpointWriter:
    """Saves the checkpoints of a training: on CUDA from a thread, else at once.

    On CUDA, :meth:`save` only starts the copy of the state to pinned memory and returns; the thread waits for the copy,
    then writes the file. Later steps wait for the copy, so they cannot change what is being copied. At most one
    checkpoint is being written: the next :meth:`save`, and the end of the context, wait for it and raise its error.
    """

    def __init__(self, checkpoints: RunCheckpoints, device: torch.device) -> None:
        self._checkpoints, self._device = checkpoints, device
        self._thread = ThreadPoolExecutor(1, "checkpoint") if device.type == "cuda" else None
        # When pinned memory is freed, its allocator records an event on each stream that used it. The thread may free
        # it while a step is captured, and a capture must not record foreign events: replays then failed with "invalid
        # argument". So the copies run on a stream that is never captured.
        self._stream = torch.cuda.Stream(device) if self._thread else None  # type: ignore[no-untyped-call]
        self._writing: Future[None] | None = None

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None) -> None:
        if self._thread:
            self._thread.shutdown(wait=True)
        if kind is None:
            self._wait()

    def last(self) -> tuple[int, State] | None:
        """Return the newest checkpoint as (epoch, state)."""
        return self._checkpoints.last()

    def save(self, epoch: int, state: State) -> None:
        """Keep ``state`` as the one after ``epoch``.

        Raises:
            UserError: this checkpoint or the one before cannot be written.
        """
        if self._thread is None or self._stream is None:
            self._checkpoints.save(epoch, state)
            return
        self._wait()
        training = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(training)
        with torch.cuda.stream(self._stream):
            copied = _to_pinned(state)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._stream)
        training.wait_event(done)
        self._writing = self._thread.submit(self._write, epoch, copied, done)

    def _write(self, epoch: int, copied: State, done: torch.cuda.Event) -> None:
        done.synchronize()
        self._checkpoints.save(epoch, copied)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()


def _to_pinned(value: Any) -> Any:
    """Start copying the tensors of a nested state to pinned memory; what else it holds stays as it is."""
    if isinstance(value, dict):
        return {key: _to_pinned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_to_pinned(inner) for inner in value]
    if not isinstance(value, Tensor):
        return value
    return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
