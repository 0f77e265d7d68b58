"""Parameters of the ``training`` stage: ``train``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..network.params import ArchitectureParams
from ..params import Params


class PlateauParams(Params):
    """``torch.optim.lr_scheduler.ReduceLROnPlateau`` on the validation loss.

    Attributes:
        factor: the learning rate is multiplied by it.
        patience: epochs without improvement that are let pass; the next one drops the rate.
        threshold: relative improvement that counts.
        cooldown: epochs after a drop in which bad epochs are not counted.
        min_lr: the plateau takes the rate no lower; warm-up and annealing do.
    """

    factor: float = Field(0.1, gt=0, lt=1)
    patience: int = Field(3, ge=0)
    threshold: float = Field(1e-4, ge=0, lt=1)
    cooldown: int = Field(0, ge=0)
    min_lr: float = Field(0.0, ge=0)


class ResizingParams(Params):
    """Progressive resizing: smaller images in the first epochs (:mod:`.resizing`).

    Attributes:
        epochs: at the start of training, in which images grow to their whole size; 0: always whole. The last epoch
            of training sees whole images at any rate.
        start: side in the first epoch, as a share of the whole.
    """

    epochs: int = Field(0, ge=0)
    start: float = Field(0.5, gt=0, le=1)


class DistributedParams(Params):
    """Several GPUs of one host, one process each (PyTorch's DistributedDataParallel under its elastic launcher).

    Attributes:
        num_processes: each takes its share of every batch; 1 trains in this process.
        max_restarts: how often a training whose process died goes on from its checkpoint by itself.
    """

    num_processes: int = Field(1, ge=1, le=64)
    max_restarts: int = Field(2, ge=0)


class TrainParams(Params):
    """SGD with momentum under ReduceLROnPlateau.

    Attributes:
        batch_size: images a step, of all processes together.
        lr: learning rate; null takes the one of the range test (``best_lr``).
        nesterov: Nesterov's form of momentum, which must not be 0 then.
        decay_norm_and_bias: whether weight decay also acts on BatchNorm's weights and on biases.
        warmup_epochs: epochs of linear growth to ``lr`` at the start, in which the plateau does not count.
        anneal_epochs: epochs of linear fall to zero at the end, in which the plateau does not count.
        ema_decay: what is measured and stored is an exponential average of the weights, of which each step leaves this
            share (early ones less, :func:`.average.average_of`); 0: the weights themselves.
        label_smoothing: of the training loss; losses in the history are plain cross-entropy.
        seed: of weights, batch order and augmentation.
        device: ``auto`` takes cuda, mps or cpu, the first that is there.
        precision: ``auto`` takes bf16 where the hardware computes it, fp16 on older CUDA, else fp32.
        num_workers: processes that prepare batches; ``auto`` goes by device and cores.
        deterministic: bit-identical runs on CUDA too, at some cost.
        compile: let ``torch.compile`` fuse the network, on CUDA; costs a minute at the start.
        keep_checkpoints: how many of the newest checkpoints of a run stay on disk.
    """

    epochs: int = Field(50, ge=1, le=100_000)
    batch_size: int = Field(128, ge=2)
    lr: float | None = Field(None, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0)
    decay_norm_and_bias: bool = True
    warmup_epochs: int = Field(0, ge=0)
    anneal_epochs: int = Field(0, ge=0)
    ema_decay: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**32)
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    num_workers: Literal["auto"] | Annotated[int, Field(ge=0, le=256)] = "auto"
    deterministic: bool = False
    compile: bool = False
    keep_checkpoints: int = Field(2, ge=1)
    distributed: DistributedParams = DistributedParams()
    resizing: ResizingParams = ResizingParams()
    plateau: PlateauParams = PlateauParams()
    architecture: ArchitectureParams = ArchitectureParams()

    def rate(self, best_lr: Mapping[str, Any]) -> float:
        """Return the full learning rate of training: ``lr`` where given, else the one that the range test found."""
        return float(best_lr["lr"] if self.lr is None else self.lr)

    @model_validator(mode="after")
    def _check(self) -> "TrainParams":
        if self.nesterov and not self.momentum:
            raise ValueError("momentum=0: nesterov=true looks ahead along it; raise it, or set nesterov=false")
        return self
