"""One step of training: forward pass, loss, backward pass, optimiser. On CUDA it can be replayed as a graph.

The kernels of a small network are so short that launching them one by one takes most of the time. A CUDA graph launches
all kernels of a step at once: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs

torch.compile makes a step 21 % faster at batch 128 on an H100, but 50 epochs do not win back the 15 to 29 seconds of
its compilation (benchmarks/results/speed-h100-2026-11-26.md).
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..device import Precision
from .margins import margins_of
from .metric_sums import MetricSums
from .optimizer import training_loss
from .params import TrainParams

log = logging.getLogger(__name__)

# Steps of a batch shape that run eagerly before its capture: they choose convolutions and allocate momentum.
WARMUP_STEPS = 5


class TrainStep:
    """Trains a network on one batch after another: ``step(images, labels)``. It never waits for the device.

    On CUDA the learning rate is handed to the optimiser as a tensor, since a graph would keep a number for ever; the
    optimiser's groups, which share one rate, hold numbers before and after. In fp16 the optimiser must be fused: the
    scaler then skips a step with infinite gradients on the device.

    Attributes:
        weights_k: class weights of the loss, on the device, to be set before the first step; None: all alike.
        metrics: sums of loss and accuracy since the last :meth:`reset`.
        margins: of each image since then, a tensor (B,) per batch (:func:`.margins.margins_of`).
        first_bad: number, from 1, of the first step since then whose loss was NaN or infinite; 0: none. It stays on the
            device, so that steps need not wait for it.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.SGD, precision: Precision, label_smoothing: float
    ) -> None:
        self.network, self.optimizer, self.scaler = network, optimizer, precision.grad_scaler()
        self.precision, self.label_smoothing, self.device = precision, label_smoothing, precision.device
        self.weights_k: Tensor | None = None
        self.metrics = MetricSums.zero(self.device)
        self.margins: list[Tensor] = []
        self.first_bad, self._steps_done = torch.zeros(2, dtype=torch.int64, device=self.device).unbind()
        self._lr = torch.zeros((), device=self.device) if self.device.type == "cuda" else None

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def reset(self) -> None:
        """Start an epoch: set the sums to zero and the network to training mode."""
        self.network.train()
        self.margins = []
        for tensor in (*self.metrics, self.first_bad, self._steps_done):
            tensor.zero_()

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> None:
        """Train on a batch, which may still lie on the CPU.

        Args:
            images_bchw: uint8, or float32 where it was resized; 0-255.
            labels_b: int64.
            batch_weight: factor of the loss, where other processes hold the rest of the batch.
        """
        self.copy_lr()
        images_bchw, labels_b = (t.to(self.device, non_blocking=True) for t in (images_bchw, labels_b))
        self.margins.append(self.compute(images_bchw, labels_b, batch_weight))

    def compute(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> Tensor:
        """Train on a batch that lies on the device; return its images' margins."""
        with self.precision.autocast():
            logits_bk = self.network(images_bchw)
        loss = training_loss(logits_bk, labels_b, self.label_smoothing, self.weights_k)
        self.optimizer.zero_grad(set_to_none=True)
        weighted = loss * batch_weight if batch_weight != 1 else loss
        self.scaler.scale(weighted).backward()  # type: ignore[no-untyped-call]
        with self._lr_on_device():
            self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            is_plain = not self.label_smoothing and self.weights_k is None
            plain = loss if is_plain else training_loss(logits_bk, labels_b, 0.0)
            self.metrics.add(plain, logits_bk, labels_b)
            self._steps_done += 1
            self.first_bad += (self.first_bad == 0) * ~torch.isfinite(loss) * self._steps_done
            return margins_of(logits_bk, labels_b)

    def copy_lr(self) -> None:
        """Copy the optimiser's learning rate to the device."""
        if self._lr is not None:
            self._lr.fill_(self.lr)

    @contextmanager
    def _lr_on_device(self) -> Iterator[None]:
        groups, number = self.optimizer.param_groups if self._lr is not None else [], self.lr
        for group in groups:
            group["lr"] = self._lr
        try:
            yield
        finally:
            for group in groups:
                group["lr"] = number


# Records what a function does on the device without doing it; returns a function that does it.
Capture = Callable[[Callable[[], object]], Callable[[], None]]


class CapturedStep(TrainStep):
    """Replays the step as a CUDA graph, one graph per batch shape; in one process alone.

    The first :data:`WARMUP_STEPS` batches of a shape are trained eagerly. Where a capture fails, a warning says so and
    all further steps are eager.

    Args:
        capture: what records the step, :func:`cuda_graphs` outside of tests.
        eager: arguments of :class:`TrainStep`.
    """

    def __init__(self, capture: Capture, *eager: Any) -> None:
        super().__init__(*eager)
        self._capture: Capture | None = capture
        self._eager_steps: Counter[object] = Counter()
        self._replays: dict[object, tuple[Tensor, Tensor, Tensor, Callable[[], None]]] = {}

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> None:
        """Train on a batch, which may still lie on the CPU."""
        assert batch_weight == 1, "several processes train eagerly"
        shape = (images_bchw.shape, images_bchw.dtype)
        if self._capture and self._eager_steps[shape] == WARMUP_STEPS and shape not in self._replays:
            self._try_to_capture(self._capture, shape, images_bchw, labels_b)
        if shape not in self._replays:
            self._eager_steps[shape] += 1
            super().__call__(images_bchw, labels_b)
            return
        static_images, static_labels, static_margins, replay = self._replays[shape]
        static_images.copy_(images_bchw, non_blocking=True)
        static_labels.copy_(labels_b, non_blocking=True)
        self.copy_lr()
        replay()
        # before the next replay writes over them
        self.margins.append(static_margins.clone())

    def _try_to_capture(self, capture: Capture, shape: object, images_bchw: Tensor, labels_b: Tensor) -> None:
        images, labels = (torch.empty_like(t, device=self.device) for t in (images_bchw, labels_b))
        margins = torch.empty(len(labels), device=self.device)
        try:
            replay = capture(lambda: margins.copy_(self.compute(images, labels)))
            self._replays[shape] = images, labels, margins, replay
        except RuntimeError as error:
            self._capture = None
            _release_generator(self.device)
            reason = str(error).splitlines()[0]
            log.warning("a step could not be captured in a CUDA graph (%s); training goes on without one", reason)


def build_step(network: nn.Module, optimizer: torch.optim.SGD, precision: Precision, params: TrainParams) -> TrainStep:
    """Return the step of a training: captured on CUDA in one process, unless ``cuda_graph`` is off; else eager."""
    parts = network, optimizer, precision, params.label_smoothing
    captured = precision.device.type == "cuda" and params.distributed.num_ranks == 1 and params.cuda_graph != "off"
    return CapturedStep(cuda_graphs(), *parts) if captured else TrainStep(*parts)


def cuda_graphs() -> Capture:
    """Return a function that captures CUDA graphs, which share one memory pool, on the current stream.

    Graphs may share it and run in any order, because nothing in it is read after a replay: weights, momentum, sums and
    margins lie outside.
    Capturing needs a stream of its own (:func:`own_stream`), which the steps before it ran on too.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(compute: Callable[[], object]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # thread_local: the thread that pins batches may allocate memory meanwhile
        with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            compute()
        return graph.replay

    return capture


def _release_generator(device: torch.device) -> None:
    """Give torch's global generator a fresh copy of its state, which a failed capture leaves marked as capturing."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generator = torch.cuda.default_generators[index]
        generator.graphsafe_set_state(generator.clone_state())


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Compute on a CUDA stream of its own while in the context; on other devices nothing changes."""
    if device.type != "cuda":
        yield
        return
    outer = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(outer)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outer.wait_stream(stream)
