"""Parameters of the ``training`` stage: ``train``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ...identity.affects import affects
from ..errors import UserError
from ..network.params import ArchitectureParams, PretrainedParams
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
            of training sees whole images at any rate. The schedule does not act meanwhile: that validation improves
            may be the work of the growing images.
        start: side in the first epoch, as a share of the whole.
    """

    epochs: int = Field(0, ge=0)
    start: float = Field(0.5, gt=0, le=1)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        UserError: it is of another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"rendezvous={address}: must be HOST:PORT with a port from 1 to 65535; give say node1:29400")
    return host.strip("[]"), int(port)


class DistributedParams(Params):
    """Several GPUs, one process each (PyTorch's DistributedDataParallel under its elastic launcher).

    Attributes:
        num_processes: processes per host, each with its share of every batch; one on one host is the run itself.
        num_nodes: number of hosts; all but the first run ``python -m s10_pipeline join HOST:PORT``.
        rendezvous: ``HOST:PORT`` where several hosts meet, an address of the first host and a free port.
        max_restarts: how often a training whose process died goes on from its checkpoint by itself.
    """

    num_processes: int = Field(1, ge=1, le=64)
    num_nodes: int = Field(1, ge=1, le=64)
    rendezvous: Annotated[str | None, affects()] = None
    max_restarts: Annotated[int, affects()] = Field(2, ge=0)

    @property
    def num_ranks(self) -> int:
        """Processes on all hosts together."""
        return self.num_nodes * self.num_processes

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_nodes > 1 and self.rendezvous is None:
            raise ValueError(
                f"num_nodes={self.num_nodes}: needs a place to meet; give train.distributed.rendezvous=HOST:PORT"
            )
        if self.rendezvous is not None:
            split_address(self.rendezvous)
        return self


class StepParams(Params):
    """What a step of SGD depends on, and how many there are: all that the range test may read of ``train``.

    Attributes:
        epochs: of training; how many batches the range test may take depends on them.
        batch_size: images per step, of all processes together.
        momentum: of SGD.
        weight_decay: of SGD, on all weights unless ``decay_norm_and_bias`` is false.
        lr: learning rate; null takes the one of the range test (``best_lr``).
        nesterov: Nesterov's form of momentum, which must not be 0 then.
        decay_norm_and_bias: whether weight decay also acts on BatchNorm's weights and on biases.
        label_smoothing: of the training loss; losses in the history are plain cross-entropy.
        class_weights: of the training loss; ``balanced`` weights an image by n / (K n_k), n images of K classes, n_k of
            its own (scikit-learn's rule), so that rare classes count as much as frequent ones.
        seed: seed of weights, batch order and augmentation.
        device: ``auto`` takes cuda, mps or cpu, the first that is there.
        precision: ``auto`` takes bf16 where the hardware computes it, fp16 on older CUDA, else fp32.
        num_workers: processes that prepare batches; ``auto`` goes by device and cores.
    """

    epochs: int = Field(50, ge=1, le=100_000)
    batch_size: int = Field(128, ge=2)
    lr: float | None = Field(None, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0)
    decay_norm_and_bias: bool = True
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"
    seed: int = Field(0, ge=0, lt=2**32)
    device: Annotated[str, affects()] = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    num_workers: Annotated[Literal["auto"] | Annotated[int, Field(ge=0, le=256)], affects()] = "auto"
    architecture: ArchitectureParams = ArchitectureParams()
    pretrained: PretrainedParams = PretrainedParams()

    def rate(self, best_lr: Mapping[str, Any]) -> float:
        """Return the full learning rate of training: ``lr`` where given, else the one that the range test found."""
        return float(best_lr["lr"] if self.lr is None else self.lr)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("momentum=0: nesterov=true looks ahead along it; raise it, or set nesterov=false")
        return self


# What makes rates or image sizes depend on ``epochs``, unless it is 0.
LOOK_AT_EPOCHS = ("anneal_epochs", "resizing.epochs")

TRAINING = affects("train_resnet")


class TrainParams(StepParams):
    """SGD with momentum under a schedule of the learning rate.

    Attributes:
        schedule: what lowers the learning rate between warm-up and annealing.
        warmup_epochs: epochs of linear growth to ``lr`` at the start, in which the schedule does not act.
        anneal_epochs: epochs of linear fall to zero at the end, in which the schedule does not act.
        ema_decay: what is measured and stored is an exponential average of the weights, of which each step leaves this
            share (early ones less, :func:`.ema.build_ema`); 0: the weights themselves.
        deterministic: bit-identical runs on CUDA too, at some cost.
        cuda_graph: replay the training step as a CUDA graph; ``auto``: on a CUDA device in one process.
        keep_checkpoints: how many of the newest checkpoints of a run stay on disk.
    """

    schedule: Annotated[Literal["plateau"], TRAINING] = "plateau"
    warmup_epochs: Annotated[int, TRAINING] = Field(0, ge=0)
    anneal_epochs: Annotated[int, TRAINING] = Field(0, ge=0)
    ema_decay: Annotated[float, TRAINING] = Field(0.0, ge=0, lt=1)
    deterministic: Annotated[bool, TRAINING] = False
    # in a file YAML reads a bare on and off as true and false
    cuda_graph: Annotated[
        Literal["auto", "on", "off"],
        BeforeValidator(lambda v: ("off", "on")[v] if isinstance(v, bool) else v),
        affects(),
    ] = "auto"
    keep_checkpoints: Annotated[int, affects()] = Field(2, ge=1)
    distributed: Annotated[DistributedParams, TRAINING] = DistributedParams()
    resizing: Annotated[ResizingParams, TRAINING] = ResizingParams()
    plateau: Annotated[PlateauParams, TRAINING] = PlateauParams()

    @property
    def resized_epochs(self) -> int:
        """How many epochs at the start train on images that are scaled down."""
        return min(self.resizing.epochs, self.epochs - 1)

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        epochs, warmup, anneal = self.epochs, self.warmup_epochs, self.anneal_epochs
        if anneal > epochs - warmup:
            wrong = f"anneal_epochs={anneal}: epochs={epochs} and warmup_epochs={warmup} leave {epochs - warmup}"
            if warmup > epochs:
                wrong = f"warmup_epochs={warmup}: epochs={epochs} end before the full rate is reached"
            warmup = min(warmup, epochs // 2)
            fitting = f"train.warmup_epochs={warmup},train.anneal_epochs={min(anneal, epochs - warmup)}"
            raise ValueError(f"{wrong}; lower it, such as --params=train.epochs={epochs},{fitting}, or raise epochs")
        return self
