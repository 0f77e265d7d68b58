"""Parameters of the ``training`` stage: the group ``train`` of the configuration."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ...identity.affects import affects
from ..errors import UserError
from ..network.params import ArchitectureParams, PretrainedParams
from ..params import Params


class PlateauParams(Params):
    """Parameters of the schedule ``plateau``, which lowers the learning rate when the validation loss stops falling.

    The schedule is ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

    Attributes:
        factor: factor by which the learning rate is multiplied at each drop.
        patience: number of epochs without improvement of the validation loss that are tolerated; the next such epoch
            lowers the learning rate.
        threshold: smallest relative decrease of the validation loss that counts as an improvement.
        cooldown: number of epochs after a drop of the learning rate in which a lack of improvement does not count
            towards ``patience``.
        min_lr: lowest learning rate to which plateau drops may go; warm-up and annealing may go below it.
    """

    factor: float = Field(0.1, gt=0, lt=1)
    patience: int = Field(3, ge=0)
    threshold: float = Field(1e-4, ge=0, lt=1)
    cooldown: int = Field(0, ge=0)
    min_lr: float = Field(0.0, ge=0)


class ResizingParams(Params):
    """Progressive resizing: train on smaller images in the first epochs (:mod:`.resizing`).

    Attributes:
        epochs: number of epochs at the start in which images grow to full size (progressive resizing); 0: none. The
            last training epoch always uses images of full size. While images grow, the plateau schedule does not act,
            because the validation loss may change with their size.
        start: side length of images in the first epoch, as a share of the full side (progressive resizing).
    """

    epochs: int = Field(0, ge=0)
    start: float = Field(0.5, gt=0, le=1)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        UserError: the address has another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"rendezvous={address}: must be HOST:PORT with a port from 1 to 65535; give e.g. node1:29400")
    return host.strip("[]"), int(port)


class DistributedParams(Params):
    """Training on several GPUs, one process per GPU (DistributedDataParallel, elastic launcher).

    Attributes:
        num_processes: number of training processes on each host. Each batch is split between the processes of all
            hosts. A single process on a single host trains in the main process.
        num_nodes: number of hosts that train together; each host besides the first runs ``python -m s10_pipeline join
            HOST:PORT``.
        rendezvous: ``HOST:PORT``, an address of the first host and a free port there, to which the other hosts connect;
            needed for several hosts.
        max_restarts: how often training is resumed automatically from its checkpoint after one of its processes died.
    """

    num_processes: int = Field(1, ge=1, le=64)
    num_nodes: int = Field(1, ge=1, le=64)
    rendezvous: Annotated[str | None, affects()] = None
    max_restarts: Annotated[int, affects()] = Field(2, ge=0)

    @property
    def num_ranks(self) -> int:
        """Number of processes on all hosts together."""
        return self.num_nodes * self.num_processes

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_nodes > 1 and self.rendezvous is None:
            raise ValueError(
                f"num_nodes={self.num_nodes}: needs an address; give train.distributed.rendezvous=HOST:PORT"
            )
        if self.rendezvous is not None:
            split_address(self.rendezvous)
        return self


class StepParams(Params):
    """The parameters of ``train`` that the range test reads too: network, optimiser, loss, device, number of epochs.

    Attributes:
        epochs: number of training epochs; the range tests may use at most a quarter of the training's batches.
        batch_size: images per step, over all processes together.
        momentum: momentum of SGD.
        weight_decay: weight decay of SGD, on all weights unless ``decay_norm_and_bias`` is false.
        lr: learning rate; null uses the rate that the range test found (``best_lr``).
        nesterov: use Nesterov momentum; needs ``momentum`` above 0.
        decay_norm_and_bias: whether weight decay also applies to BatchNorm weights and biases.
        label_smoothing: label smoothing of the training loss; losses in the history are without it.
        class_weights: how images are weighted in the training loss. With ``none``, all images weigh the same. With
            ``balanced`` (scikit-learn's rule), an image weighs n / (K n_k), for n images in K classes and n_k images in
            its class, so that rare classes count as much as frequent ones.
        seed: seed of initial weights, batch order and augmentation.
        device: device that trains; ``auto`` uses the first available of cuda, mps and cpu.
        precision: number format of training; ``auto`` uses bf16 if the hardware supports it, fp16 on older CUDA GPUs,
            else fp32.
        num_workers: number of data-loading processes; ``auto`` chooses it by device and number of cores.
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
        """Return the learning rate after warm-up: ``lr`` if it is given, else the rate that the range test found."""
        return float(best_lr["lr"] if self.lr is None else self.lr)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("momentum=0: nesterov=true needs momentum above 0; raise it, or set nesterov=false")
        return self


# Names of parameters that make an epoch's learning rate or image size depend on ``epochs``, unless they are 0. If one
# is set, a training with another number of epochs starts from scratch.
LOOK_AT_EPOCHS = ("anneal_epochs", "resizing.epochs")

TRAINING = affects("train_resnet")


class TrainParams(StepParams):
    """Parameters of training by SGD with momentum and a learning-rate schedule.

    Attributes:
        schedule: schedule of the learning rate between warm-up and annealing; ``plateau`` is ReduceLROnPlateau on the
            validation loss.
        warmup_epochs: number of epochs at the start in which the learning rate grows linearly to ``lr``; the plateau
            schedule does not act in them.
        anneal_epochs: number of epochs at the end in which the learning rate falls linearly to 0; the plateau schedule
            does not act in them.
        ema_decay: decay per step of an exponential moving average of the weights, smaller in early steps
            (:func:`.ema.build_ema`); 0: no average. If a decay is given, training measures and stores the averaged
            weights instead of the last ones.
        deterministic: make repeated runs on CUDA bit-identical, as they are on a CPU; slower.
        cuda_graph: whether to replay the training step as a CUDA graph; ``auto`` does so on a CUDA device with one
            process.
        keep_checkpoints: number of newest checkpoints of a training that are kept on disk.
    """

    schedule: Annotated[Literal["plateau"], TRAINING] = "plateau"
    warmup_epochs: Annotated[int, TRAINING] = Field(0, ge=0)
    anneal_epochs: Annotated[int, TRAINING] = Field(0, ge=0)
    ema_decay: Annotated[float, TRAINING] = Field(0.0, ge=0, lt=1)
    deterministic: Annotated[bool, TRAINING] = False
    # YAML reads a bare on or off as true or false
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
        """Number of epochs at the start that train on downscaled images; 0 without progressive resizing."""
        return min(self.resizing.epochs, self.epochs - 1)

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        epochs, warmup, anneal = self.epochs, self.warmup_epochs, self.anneal_epochs
        if anneal > epochs - warmup:
            wrong = f"anneal_epochs={anneal}: epochs={epochs} and warmup_epochs={warmup} leave {epochs - warmup}"
            if warmup > epochs:
                wrong = f"warmup_epochs={warmup}: must be at most epochs={epochs}, or the full rate is never reached"
            warmup = min(warmup, epochs // 2)
            fitting = f"train.warmup_epochs={warmup},train.anneal_epochs={min(anneal, epochs - warmup)}"
            raise ValueError(f"{wrong}; lower it, such as --params=train.epochs={epochs},{fitting}, or raise epochs")
        return self
