"""Which processor computes, and in which number format."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .errors import UserError, did_you_mean

DEVICES = ("auto", "cuda", "mps", "cpu")

# The NVIDIA kernel driver lists its cards here whether or not a CUDA program could use them.
NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")


# The first compute capability of CUDA cards with convolutions in bf16.
BF16_CAPABILITY = (8, 0)


def choose_device(requested: str) -> torch.device:
    """``auto`` takes cuda, mps or cpu, the first that is there; a name must be there.

    Args:
        requested: ``train.device``: auto, cuda, cuda:N, mps or cpu.

    Raises:
        UserError: an unknown or absent device, or a GPU that is there but that torch cannot use:
            hours of silent computing on the CPU are worse than an error.
    """
    kind, _, number = requested.partition(":")
    if kind not in DEVICES or (number and kind != "cuda"):
        raise UserError(f"train.device={requested}: not a device; {did_you_mean(requested, DEVICES)}")
    has_cuda = _cuda_is_usable()
    if kind == "cuda" or (kind == "auto" and not has_cuda):
        _check_unusable_gpu(requested, has_cuda)
    if kind == "cuda":
        if not has_cuda:
            raise UserError(f"train.device={requested}: torch sees no CUDA GPU here; take train.device=cpu or auto")
        if not (number or "0").isdigit() or int(number or 0) >= torch.cuda.device_count():
            raise UserError(
                f"train.device={requested}: this host has cuda:0 to cuda:{torch.cuda.device_count() - 1}; "
                "take one of them"
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"train.device={requested}: torch sees no Apple GPU here; take train.device=cpu or auto")
    if kind != "auto":
        return torch.device(requested)
    if has_cuda:
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _cuda_is_usable() -> bool:
    import warnings

    # a driver that is too old makes torch warn and answer False; the error below says it better
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return False
        try:
            # a card that this torch was not built for says yes until its first kernel
            return bool((torch.ones(1, device="cuda") + 1).item() == 2)
        except RuntimeError:
            return False


def _check_unusable_gpu(requested: str, has_cuda: bool) -> None:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    cards = list(NVIDIA_CARDS.iterdir()) if NVIDIA_CARDS.is_dir() else []
    if cards and not has_cuda and not hidden:
        built_for = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise UserError(
            f"train.device={requested}: an NVIDIA GPU is there, but torch {torch.__version__} ({built_for}) "
            "cannot use it; update the driver, install a torch that fits it, or take train.device=cpu"
        )


@dataclass(frozen=True)
class Precision:
    """How the forward and backward pass compute; weights and optimiser stay fp32.

    Attributes:
        name: fp32, bf16 or fp16.
        device: where.
    """

    name: str
    device: torch.device

    def autocast(self) -> AbstractContextManager[None]:
        """Context of the forward pass and the loss."""
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        # a CUDA graph must hold the casts of weights: none may come from a cache that was filled before
        return torch.autocast(self.device.type, dtype, enabled=self.name != "fp32", cache_enabled=False)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Scales the loss in fp16, passes it through otherwise (Micikevicius et al. 2017)."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")


def choose_precision(requested: str, device: torch.device) -> Precision:
    """``auto``: bf16 where the hardware computes it, fp16 on older CUDA cards, else fp32.

    CUDA computes bf16 from compute capability 8.0 (older cards say so, but cuDNN has no convolutions);
    CPUs with AMX or AVX512-BF16.

    Raises:
        UserError: a format that the device cannot compute.
    """
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    if requested == "auto":
        if capability:
            return Precision("bf16" if capability >= BF16_CAPABILITY else "fp16", device)
        return Precision("bf16" if device.type == "cpu" and cpu_computes_bf16() else "fp32", device)
    if requested == "fp16" and device.type != "cuda":
        raise UserError(f"train.precision=fp16: needs a CUDA GPU, this run computes on {device.type}; take auto")
    if requested == "bf16" and capability and capability < BF16_CAPABILITY:
        has, needs = (".".join(map(str, c)) for c in (capability, BF16_CAPABILITY))
        raise UserError(f"train.precision=bf16: needs compute capability {needs}, this GPU has {has}; take auto")
    return Precision(requested, device)


def cpu_computes_bf16() -> bool:
    """Whether this CPU has bf16 arithmetic (AMX or AVX512-BF16), not just conversion."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else None
    if capabilities is not None:
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    # older torch has no public call
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """Let torch choose algorithms that repeat bit for bit, or else those that are fastest, while in the context.

    It matters on CUDA; CPUs repeat anyway. Source: https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    # trying out convolutions pays where all batches have one shape, and may choose differently next time
    torch.backends.cudnn.benchmark = not enabled
    if enabled:
        # cuBLAS reads it when its first handle is made
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def no_autotuning() -> Iterator[None]:
    """Let cuDNN choose convolutions by its heuristics, without trying them out, while in the context."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def plain_fp32() -> Iterator[None]:
    """Let CUDA's convolutions compute fp32 as such while in the context: by default they round to TF32's 10 bits.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before


@contextmanager
def explain_out_of_memory(batch_size: int, device: torch.device) -> Iterator[None]:
    """Turn the many forms of running out of memory into one line that names the batch size that was tried."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # CUDA has a class for it, the CPU's and Apple's allocators only words
        words = ("out of memory", "can't allocate memory", "not enough memory")
        if not isinstance(error, MemoryError) and not any(word in str(error).lower() for word in words):
            raise
        raise UserError(
            f"train.batch_size={batch_size}: does not fit into the memory of {describe_device(device)}; take a smaller "
            f"one, say {max(2, batch_size // 2)}, or a smaller network (checkpoints of earlier epochs are kept)"
        ) from error


def describe_device(device: torch.device) -> str:
    """For provenance: "cuda (NVIDIA H200)", "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else device.type
