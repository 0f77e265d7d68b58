"""Decode many images, in several threads if the images are large enough to benefit."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..resize import UnreadableImage

Item = TypeVar("Item")
Result = TypeVar("Result")

# Threads help because Pillow releases the interpreter lock (GIL) while it decodes. For CIFAR-sized images (2 kB),
# passing the lock between threads costs more than it gains: 0.20 ms per image with two threads on two cores, 0.14 ms
# with one.
MIN_BYTES_FOR_THREADS = 16 * 1024


def map_images(
    work: Callable[[Item], Result], items: Sequence[Item], num_bytes: int
) -> Iterator[Result | UnreadableImage]:
    """Yield, for each item in order, the result of ``work(item)`` or the UnreadableImage that it raised.

    Args:
        work: decodes one image; may be called from several threads.
        items: arguments of ``work``. Results are held until they are yielded, so ``work`` should store pixels itself.
        num_bytes: total size of the encoded images.
    """

    def attempt(item: Item) -> Result | UnreadableImage:
        try:
            return work(item)
        except UnreadableImage as error:
            # return a new exception, because the traceback of ``error`` would keep the image's bytes in memory
            return UnreadableImage(str(error))

    if num_bytes < MIN_BYTES_FOR_THREADS * len(items):
        yield from map(attempt, items)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(attempt, items)


def sizes_of(files: Iterable[Path]) -> int:
    """Return the total size of the files in bytes, without those that do not exist."""
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


def list_some(items: Sequence[str], separator: str = ", ", most: int = 5) -> str:
    """Join at most ``most`` items and the number of the others, such as ``a.png, b.png, 3 more``."""
    return separator.join([*items[:most], f"{len(items) - most:,} more"] if len(items) > most else items)
