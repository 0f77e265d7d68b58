"""Decoding many images: with threads where they help."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..resize import UnreadableImage

Item = TypeVar("Item")
Result = TypeVar("Result")

# Pillow gives the interpreter lock away while it decodes. For CIFAR-sized images (2 kB, 0.14 ms) handing it to and
# fro costs more than that gains: 0.20 ms per image with two threads on two cores. Photographs gain with every core.
MIN_BYTES_FOR_THREADS = 16 * 1024


def map_images(
    work: Callable[[Item], Result], items: Sequence[Item], num_bytes: int
) -> Iterator[Result | UnreadableImage]:
    """``work`` of each item, in order: its result, or the UnreadableImage that it raised.

    Args:
        work: decodes one image; called from several threads.
        items: what ``work`` takes. All are handed over at once, so let ``work`` store large results itself.
        num_bytes: size of all encoded images together.
    """

    def attempt(item: Item) -> Result | UnreadableImage:
        try:
            return work(item)
        except UnreadableImage as error:
            return UnreadableImage(str(error))  # the one that was raised holds the image's bytes

    if num_bytes < MIN_BYTES_FOR_THREADS * len(items):
        yield from map(attempt, items)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(attempt, items)


def sizes_of(files: Iterable[Path]) -> int:
    """Return how many bytes the files have together; those that cannot be read, none."""
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


def list_some(items: Sequence[str], separator: str = ", ", most: int = 5) -> str:
    """``a.png, b.png, 3 more``."""
    return separator.join([*items[:most], f"{len(items) - most:,} more"] if len(items) > most else items)
