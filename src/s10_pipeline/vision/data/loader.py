"""Load batches of uint8 images. Worker processes assemble whole batches; the model normalises them on its device."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from ..errors import UserError
from .image_set import ImageSet
from .split import Split
from .workers import PREFETCH, check_limits

if TYPE_CHECKING:
    from .augmenter import Augmenter

# Key of an image to load: (epoch, index into the image set). The augmentation depends on the epoch, so each key carries
# it: persistent workers then need no message when an epoch begins.
Key = tuple[int, int]
Batch = tuple[Tensor, Tensor]

# Largest number of pixels per batch when measuring without gradients: 512 images of 64 x 64, or 41 of 224 x 224.
MAX_PIXELS_A_BATCH = 2**21

# Workers send several batches, of about this many bytes, in one message, because receiving a message takes 0.5 ms
# regardless of its size.
MESSAGE_BYTES = 2 * 2**20

# Seconds after which a message from a worker counts as lost; workers need far less to prepare one.
MAX_SECONDS_A_MESSAGE = 600

# Message from a worker: images of several batches in one tensor, their labels, and the number of images per batch.
Message = tuple[Tensor, Tensor, list[int]]


class AugmentedImages(Dataset[Message]):
    """Dataset that loads several batches of augmented images at once, so that a worker sends them as one message.

    A batch is requested as a list of keys (epoch, image index). The augmentation of an image depends only on (seed,
    epoch, index).
    """

    def __init__(self, images: ImageSet, subset: Split, seed: int) -> None:
        self._images = images
        self._subset = subset
        self._seed = seed

    def __getitems__(self, batches: list[list[Key]]) -> Message:
        """Load several batches, each given as a list of keys (epoch, image index), as one message.

        Returns:
            Images of all batches, uint8 (N, 3, H, W), channels_last; labels, int64 (N,); number of images per batch.
        """
        keys = list(chain.from_iterable(batches))
        indices = np.array([index for _, index in keys])
        images_nhwc = np.array(self._images.images_nhwc[indices])
        if self._subset.transforms:
            for image, (epoch, index) in zip(images_nhwc, keys, strict=True):
                np.copyto(image, self._augment(image, epoch, index), casting="no")  # raises an error for floats
        return *_as_batch(images_nhwc, self._images.labels[indices]), [len(batch) for batch in batches]

    @cached_property
    def _augment(self) -> "Augmenter":
        # build the augmenter in the process that uses it, because its random state cannot be shared between processes
        from .augmenter import Augmenter
        from .transforms import build_transforms

        return Augmenter(build_transforms(self._subset.transforms, self._subset.mean), self._seed)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_augment"}


def _as_batch(images_nhwc: NDArray[np.uint8], labels: NDArray[np.int64]) -> Batch:
    # permuting NHWC memory gives torch's channels_last layout without a copy
    return torch.from_numpy(images_nhwc).permute(0, 3, 1, 2), torch.from_numpy(labels)


class EpochBatches(Sampler[list[Key]]):
    """Sampler of shuffled training batches: each image once per epoch, in an order that depends only on (seed, epoch).

    A batch is a list of keys (epoch, image index).

    Args:
        indices: indices of the images.
        batch_size: keys per batch, over all ranks (training processes) together.
        seed: seed of the order.
        rank, num_ranks: this process gets every ``num_ranks``-th key of a batch, starting with number ``rank``.
    """

    def __init__(
        self, indices: NDArray[np.int64], batch_size: int, seed: int, rank: int = 0, num_ranks: int = 1
    ) -> None:
        self._indices = indices
        self._batch_size = batch_size
        self._seed = seed
        self._rank, self._num_ranks = rank, num_ranks
        self.epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self._indices), self._batch_size)
        # if fewer than two images per rank are left over, they join the previous batch: BatchNorm needs at least two
        return whole + (rest >= 2 * self._num_ranks)

    def __iter__(self) -> Iterator[list[Key]]:
        for rows in self.rows(self.epoch):
            yield [(self.epoch, index) for index in rows.tolist()]

    def rows(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield, for each batch of an epoch, the image indices of this rank."""
        rng = np.random.Generator(np.random.Philox(key=np.array([self._seed, epoch], np.uint64)))
        order = rng.permutation(self._indices)
        for number in range(len(self)):
            start, end = self._bounds(number)
            yield order[start + self._rank : end : self._num_ranks]

    def _bounds(self, number: int) -> tuple[int, int]:
        start = number * self._batch_size
        return start, start + self._batch_size if number < len(self) - 1 else len(self._indices)

    def batch_weight(self, number: int) -> float:
        """Return the weight of this rank's mean loss in the average over ranks; 1 if all have equally many images.

        With this weight, the average over ranks equals the mean over the whole batch.
        """
        start, end = self._bounds(number)
        mine = len(range(start + self._rank, end, self._num_ranks))
        return mine * self._num_ranks / (end - start)


class TrainLoader:
    """Augmented training batches: ``for images, labels in loader.epoch(3)``.

    Args:
        images: the training images.
        subset: the indices to load, and the transforms.
        batch_size: images per batch; the last batch of an epoch may be smaller, or larger by up to
            2 ``num_ranks`` - 1 images.
        seed: seed of order and augmentation.
        num_workers: number of worker processes; 0 prepares batches in this process.
        pin_memory: whether to use pinned memory, for asynchronous copies to a CUDA device.
        rank, num_ranks: number of this training process and number of all, which share each batch.
        num_here: number of training processes on this host, which share its memory.

    Raises:
        UserError: shared memory or the limit of open files does not suffice for the workers.
    """

    def __init__(
        self,
        images: ImageSet,
        subset: Split,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        pin_memory: bool = False,
        rank: int = 0,
        num_ranks: int = 1,
        num_here: int = 1,
    ) -> None:
        self.batches = EpochBatches(subset.indices, batch_size, seed, rank, num_ranks)
        self.batch_weight = self.batches.batch_weight
        batch_bytes = batch_size // num_ranks * images.images_nhwc[0].nbytes
        per_message = max(1, MESSAGE_BYTES // batch_bytes) if num_workers else 1
        if num_workers:
            check_limits(num_workers, per_message * batch_bytes * num_here)
        self.loader: DataLoader[Message] = DataLoader(
            AugmentedImages(images, subset, seed),
            batch_sampler=BatchSampler(self.batches, per_message, drop_last=False),  # type: ignore[arg-type]
            collate_fn=_whole_message,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            prefetch_factor=PREFETCH if num_workers else None,
            timeout=MAX_SECONDS_A_MESSAGE if num_workers else 0,
            pin_memory=pin_memory,
            # pass an own generator, because DataLoader would draw worker seeds from torch's global one and change it
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self.batches)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Return an iterator over the batches of an epoch; workers start to prepare them immediately."""
        self.batches.epoch = number
        return self._split(iter(self.loader))

    def _split(self, messages: Iterator[Message]) -> Iterator[Batch]:
        try:
            for images_bchw, labels_b, sizes in messages:
                yield from zip(torch.split(images_bchw, sizes), torch.split(labels_b, sizes), strict=True)
        except RuntimeError as error:
            if "timed out" not in str(error):
                raise
            raise UserError(
                f"train.num_workers={self.loader.num_workers}: a worker sent nothing for {MAX_SECONDS_A_MESSAGE} s; "
                "free space in /dev/shm (--shm-size in a container), or use train.num_workers=0, and start again"
            ) from error


def _whole_message(message: Any) -> Any:
    return message  # unchanged, because __getitems__ has already collated the batches


def plain_batches(
    images_nhwc: NDArray[np.uint8], labels: NDArray[np.int64], indices: NDArray[np.int64], batch_size: int
) -> Iterator[Batch]:
    """Yield batches in order, without augmentation: images, uint8 (B, 3, H, W), and labels, int64 (B,)."""
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        yield _as_batch(np.array(images_nhwc[chosen]), labels[chosen])


def cap_batch_size(batch_size: int, image_size: tuple[int, int]) -> int:
    """Return the batch size for use outside training: ``batch_size``, or less if activations would need gigabytes."""
    height, width = image_size
    return min(batch_size, max(1, MAX_PIXELS_A_BATCH // (height * width)))
