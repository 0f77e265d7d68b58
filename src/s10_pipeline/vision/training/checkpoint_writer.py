"""Write the checkpoints of a GPU training in a background thread, while the next epoch trains."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .checkpoints import RunCheckpoints, State


@contextmanager
def checkpoint_writer(checkpoints: RunCheckpoints, device: torch.device) -> Iterator[Callable[[int, State], None]]:
    """Yield a function that saves a checkpoint of a training: in a background thread on CUDA, else synchronously.

    On CUDA, the function starts to copy the state to pinned memory and returns; the thread waits for the copy, then
    writes the file. Later training steps also wait for the copy, so they cannot change the tensors that are being
    copied. At most one checkpoint is written at a time: the next call, and the end of the context, wait until it is
    written and raise its error. So a killed training on CUDA may lose the last complete epoch beside the running one.

    Raises:
        UserError: a checkpoint cannot be written.
    """
    if device.type != "cuda":
        yield checkpoints.save
        return
    # Copy on a stream that is never captured as a CUDA graph. Freeing pinned memory records an event on the streams
    # that used it, and an event in the middle of a capture makes replays fail ("invalid argument").
    writing: Future[None] | None = None
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def save(epoch: int, state: State) -> None:
        nonlocal writing
        if writing:
            writing.result()
        training = torch.cuda.current_stream(device)
        stream.wait_stream(training)
        with torch.cuda.stream(stream):
            copied = _to_pinned(state)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(stream)
        training.wait_event(done)
        writing = thread.submit(write, epoch, copied, done)

    def write(epoch: int, copied: State, done: torch.cuda.Event) -> None:
        done.synchronize()
        checkpoints.save(epoch, copied)

    with ThreadPoolExecutor(1, "checkpoint") as thread:
        try:
            yield save
        finally:
            if writing:
                writing.result()


def _to_pinned(value: Any) -> Any:
    """Start to copy the tensors of a nested state to pinned CPU memory; return the state with the unfinished copies."""
    if isinstance(value, dict):
        return {key: _to_pinned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_to_pinned(inner) for inner in value]
    if not isinstance(value, Tensor):
        return value
    return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
