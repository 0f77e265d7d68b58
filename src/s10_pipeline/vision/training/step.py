"""One training step: forward pass, loss, backward pass, optimiser. On CUDA it can be replayed as a CUDA graph.

The kernels of a small network are so short that launching them one by one takes most of the time. A CUDA graph launches
all kernels of a step at once: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs

torch.compile is not used: it makes a step 21 % faster at batch size 128 on an H100, but compiling takes 15 to 29
seconds, more than it saves in 50 epochs (benchmarks/results/speed-h100-2026-11-26.md).
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

# Number of steps per batch shape that run normally before a step is captured as a CUDA graph. These steps choose
# convolution algorithms and allocate momentum.
WARMUP_STEPS = 5


class TrainStep:
    """Trains a network, one batch per call of ``step(images, labels)``, without waiting for the GPU to finish.

    On CUDA the optimiser gets the learning rate as a tensor during the step, because a captured graph would replay a
    Python number as a constant. Outside the step, the optimiser's parameter groups, which share one rate, hold numbers.
    In fp16 the optimiser must be fused, so that the gradient scaler can skip a step with infinite gradients on the
    device.

    Attributes:
        weights_k: class weights of the loss, on the device; set before the first step. None: no weights.
        metrics: sums of loss and accuracy since the last :meth:`reset`.
        margins: one tensor (B,) per batch since the last reset: margin of each image (:func:`.margins.margins_of`).
        first_bad: number (from 1) of the first step since the last reset whose loss was NaN or infinite; 0: none. A
            tensor on the device, so that steps need not wait for it.
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
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def reset(self) -> None:
        """Prepare for an epoch: set all sums to zero and the network to training mode."""
        self.network.train()
        self.margins = []
        for tensor in (*self.metrics, self.first_bad, self._steps_done):
            tensor.zero_()

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> None:
        """Train on a batch, which may still be on the CPU.

        Args:
            images_bchw: values 0-255 as uint8, or as float32 after resizing.
            labels_b: int64.
            batch_weight: factor of the loss; not 1 if other processes train on the rest of the batch.
        """
        self.copy_lr()
        images_bchw, labels_b = (t.to(self.device, non_blocking=True) for t in (images_bchw, labels_b))
        self.margins.append(margins_of(self.compute(images_bchw, labels_b, batch_weight), labels_b))

    def compute(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> Tensor:
        """Train on a batch that is on the device; return the logits (B, K) from before the update."""
        with self.precision.autocast():
            logits_bk: Tensor = self.network(images_bchw)
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
        return logits_bk.detach()

    def copy_lr(self) -> None:
        """Copy the optimiser's learning rate to the device, where a captured CUDA graph reads it."""
        if self._lr is not None:
            self._lr.fill_(self.lr)

    @contextmanager
    def _lr_on_device(self) -> Iterator[None]:
        groups, number = (self.optimizer.param_groups if self._lr is not None else []), self.lr
        for group in groups:
            group["lr"] = self._lr
        try:
            yield
        finally:
            for group in groups:
                group["lr"] = number


# Type of functions that record the device operations of their argument as a CUDA graph, without running them. They
# return a function that replays the graph and returns the argument's result.
Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


class CapturedStep(TrainStep):
    """Replays the step as a CUDA graph, one graph per batch shape; only for training in a single process.

    The first :data:`WARMUP_STEPS` batches of a shape are trained eagerly. If a capture fails, a warning is logged and
    all shapes without a graph are trained eagerly.
    A graph holds the operations of :meth:`compute`, which were compared with eager steps on an H100. Margins are
    computed outside the graph, after each replay.

    Args:
        capture: function that records the step; :func:`cuda_graphs` returns it, tests replace it.
        eager: arguments of :class:`TrainStep`.
    """

    def __init__(self, capture: Capture, *eager: Any) -> None:
        super().__init__(*eager)
        self._capture: Capture | None = capture
        self._eager_steps: Counter[object] = Counter()
        self._replays: dict[object, tuple[Tensor, Tensor, Callable[[], Tensor]]] = {}

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, batch_weight: float = 1.0) -> None:
        """Train on a batch, which may still be on the CPU."""
        assert batch_weight == 1, "several processes train eagerly"
        shape = (images_bchw.shape, images_bchw.dtype)
        if self._capture and self._eager_steps[shape] == WARMUP_STEPS and shape not in self._replays:
            self._try_to_capture(self._capture, shape, images_bchw, labels_b)
        if shape not in self._replays:
            self._eager_steps[shape] += 1
            super().__call__(images_bchw, labels_b)
            return
        static_images, static_labels, replay = self._replays[shape]
        static_images.copy_(images_bchw, non_blocking=True)
        static_labels.copy_(labels_b, non_blocking=True)
        self.copy_lr()
        self.margins.append(margins_of(replay(), static_labels))

    def _try_to_capture(self, capture: Capture, shape: object, images_bchw: Tensor, labels_b: Tensor) -> None:
        images, labels = (torch.empty_like(t, device=self.device) for t in (images_bchw, labels_b))
        try:
            self._replays[shape] = images, labels, capture(lambda: self.compute(images, labels))
        except RuntimeError as error:
            self._capture = None
            _release_generator(self.device)
            self._forget_unfinished_step()
            reason = str(error).partition("\n")[0]
            log.warning("a training step could not be captured as a CUDA graph (%s); such steps run eagerly", reason)

    def _forget_unfinished_step(self) -> None:
        """Undo what the failed step left in scaler and optimiser, which would scale the next gradients twice."""
        scale = self.scaler.state_dict()
        self.scaler = self.precision.grad_scaler()
        self.scaler.load_state_dict(scale)
        for name in {"grad_scale", "found_inf"} & vars(self.optimizer).keys():
            delattr(self.optimizer, name)


def build_step(network: nn.Module, optimizer: torch.optim.SGD, precision: Precision, params: TrainParams) -> TrainStep:
    """Build the training step, replayed as a CUDA graph in a single CUDA process unless ``cuda_graph`` is "off"."""
    parts = network, optimizer, precision, params.label_smoothing
    captured = precision.device.type == "cuda" and params.distributed.num_ranks == 1 and params.cuda_graph != "off"
    return CapturedStep(cuda_graphs(), *parts) if captured else TrainStep(*parts)


def cuda_graphs() -> Capture:
    """Return a function that captures CUDA graphs on the current stream; all graphs share one memory pool.

    Sharing is safe in any order of replays: only the logits are read from the pool after a replay, and each graph's
    logits stay referenced, so that no other graph uses their memory. Weights, momentum and sums are stored outside.
    Capturing needs a stream other than the default one (:func:`own_stream`), and the eager steps before it must have
    run on that stream too.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        # The mode "thread_local" lets the thread that pins batches allocate memory during the capture.
        with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            result = compute()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    return capture


def _release_generator(device: torch.device) -> None:
    """Replace the state of torch's CUDA generator by a copy, because a failed capture leaves it marked as capturing."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generator = torch.cuda.default_generators[index]
        generator.graphsafe_set_state(generator.clone_state())


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Run CUDA work on a separate stream while in the context; do nothing on other devices."""
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
