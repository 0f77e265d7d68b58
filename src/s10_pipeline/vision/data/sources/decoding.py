"""Decoding many images: with threads where they help."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from ..resize import UnreadableImage

Item = TypeVar("Item")
Result = TypeVar("Result")

# Pillow gives the interpreter lock away while it decodes. For CIFAR-sized images (2 kB, 0.14 ms) handing it to and
# fro costs more than that gains: 0.20 ms per image with two threads on two cores. Photographs gain with every core.
MIN_BYTES_FOR_THREADS = 16 * 1024


def map_images(
    work: Callable[[Item], Result], items: Sequence[Item], mean_bytes: float
) -> Iterator[Result | UnreadableImage]:
    """``work`` of each item, in order: its result, or the UnreadableImage that it raised.

    Args:
        work: decodes one image; called from several threads.
        items: what ``work`` takes. All are handed over at once, so let ``work`` store large results itself.
        mean_bytes: size of an encoded image.
    """

    def attempt(item: Item) -> Result | UnreadableImage:
        try:
            return work(item)
        except UnreadableImage as error:
            return UnreadableImage(str(error))  # the one that was raised holds the image's bytes

    if mean_bytes < MIN_BYTES_FOR_THREADS:
        yield from map(attempt, items)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(attempt, items)


def list_unreadable(reasons: Mapping[str, object], most: int = 5) -> str:
    """``a.png: the file is empty; b.png: ...; 3 more``."""
    told = [f"{place}: {reason}" for place, reason in islice(reasons.items(), most)]
    return "; ".join([*told, f"{len(reasons) - most:,} more"] if len(reasons) > most else told)
