"""Choose the device and the precision (number format) of computations."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .errors import UserError, did_you_mean

DEVICES = ("auto", "cuda", "mps", "cpu")

# Folder in which the NVIDIA kernel driver lists its GPUs, even those that CUDA programs cannot use.
NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")


# Lowest compute capability of CUDA GPUs with bf16 convolutions.
BF16_CAPABILITY = (8, 0)


def choose_device(requested: str) -> torch.device:
    """Return the requested device, or for ``auto`` the first available of cuda, mps and cpu.

    Args:
        requested: value of ``train.device``: auto, cuda, cuda:N, mps or cpu.

    Raises:
        UserError: the device is unknown or absent, or there is an NVIDIA GPU that torch cannot use. The latter is an
            error for ``auto`` too, because falling back to the CPU silently could cost hours.
    """
    kind, _, number = requested.partition(":")
    if kind not in DEVICES or (number and kind != "cuda"):
        raise UserError(f"train.device={requested}: not a device; {did_you_mean(requested, DEVICES)}")
    has_cuda = _cuda_is_usable()
    if kind == "cuda" or (kind == "auto" and not has_cuda):
        _check_unusable_gpu(requested, has_cuda)
    if kind == "cuda":
        if not has_cuda:
            raise UserError(f"train.device={requested}: torch sees no CUDA GPU here; use train.device=cpu or auto")
        if not (number or "0").isdigit() or int(number or 0) >= torch.cuda.device_count():
            raise UserError(
                f"train.device={requested}: this host has cuda:0 to cuda:{torch.cuda.device_count() - 1}; "
                "use one of them"
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"train.device={requested}: torch sees no Apple GPU here; use train.device=cpu or auto")
    if kind != "auto":
        return torch.device(requested)
    if has_cuda:
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _cuda_is_usable() -> bool:
    import warnings

    # With an old driver, torch warns and reports no CUDA. Hide the warning, because _check_unusable_gpu raises an error
    # that names the remedy.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return False
        try:
            # torch calls a GPU available even if it was not built for this GPU, so add two numbers on the GPU as a test
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
            "cannot use it; update the driver, install a torch that fits it, or use train.device=cpu"
        )


@dataclass(frozen=True)
class Precision:
    """Precision of forward and backward pass; weights and optimiser state are always fp32.

    Attributes:
        name: fp32, bf16 or fp16.
        device: the device that computes.
    """

    name: str
    device: torch.device

    def autocast(self) -> AbstractContextManager[None]:
        """Return the autocast context for the forward pass."""
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        # Do not let autocast cache the cast weights, because a CUDA graph must contain these casts.
        return torch.autocast(self.device.type, dtype, enabled=self.name != "fp32", cache_enabled=False)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Return a gradient scaler, which is active only in fp16 (Micikevicius et al. 2017, arXiv:1710.03740)."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")


def choose_precision(requested: str, device: torch.device) -> Precision:
    """Return the precision that ``train.precision`` requests for this device, or choose one for ``auto``.

    ``auto`` gives bf16 if the hardware supports it, fp16 on older CUDA GPUs, else fp32.
    bf16 needs a CUDA GPU of compute capability 8.0 (torch reports support on older ones, but cuDNN has no bf16
    convolutions for them), or a CPU with AMX or AVX512-BF16.

    Raises:
        UserError: fp16 without CUDA, or bf16 on an older CUDA GPU.
    """
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    if requested == "auto":
        if capability:
            return Precision("bf16" if capability >= BF16_CAPABILITY else "fp16", device)
        return Precision("bf16" if device.type == "cpu" and cpu_computes_bf16() else "fp32", device)
    if requested == "fp16" and device.type != "cuda":
        raise UserError(f"train.precision=fp16: needs a CUDA GPU, but this run uses {device.type}; use auto")
    if requested == "bf16" and capability and capability < BF16_CAPABILITY:
        has, needs = (".".join(map(str, c)) for c in (capability, BF16_CAPABILITY))
        raise UserError(f"train.precision=bf16: needs compute capability {needs}, this GPU has {has}; use auto")
    return Precision(requested, device)


def cpu_computes_bf16() -> bool:
    """Return whether this CPU can compute in bf16 (AMX or AVX512-BF16); a CPU that only converts to bf16 cannot."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else None
    if capabilities is not None:
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    # Older versions of torch have no torch.cpu.get_capabilities, so call private functions.
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


@contextmanager
def _holding(owner: Any, name: str, value: object) -> Iterator[None]:
    """Set the attribute ``name`` of ``owner`` while in the context, then restore its earlier value."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """Make torch use deterministic algorithms if ``enabled``, else the fastest ones; restore the settings at exit.

    This matters on CUDA; CPU results are reproducible anyway. Source:
    https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    before = torch.are_deterministic_algorithms_enabled()
    if enabled:
        # cuBLAS is deterministic only with this workspace setting, which it reads at its first use, so set it before.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    # cuDNN autotuning is faster if all batches have one shape, but may choose another algorithm in the next run
    with _holding(torch.backends.cudnn, "benchmark", not enabled):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def no_autotuning() -> AbstractContextManager[None]:
    """Switch off cuDNN autotuning while in the context, so that it chooses convolutions by heuristics."""
    return _holding(torch.backends.cudnn, "benchmark", False)


def plain_fp32() -> AbstractContextManager[None]:
    """Compute fp32 convolutions on CUDA in full precision while in the context, not in TF32, which is the default.

    TF32 rounds inputs to a 10-bit mantissa. Source:
    https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
    """
    return _holding(torch.backends.cudnn.conv, "fp32_precision", "ieee")  # type: ignore[attr-defined]


@contextmanager
def explain_out_of_memory(batch_size: int, device: torch.device) -> Iterator[None]:
    """Convert any out-of-memory error inside a ``with`` block into a UserError that names the batch size."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"train.batch_size={batch_size}: does not fit into the memory of {describe_device(device)}; use a smaller "
            f"one, such as {max(2, batch_size // 2)}, or a smaller network (checkpoints of earlier epochs are kept)"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception means that memory is full."""
    # torch has an exception class for running out of memory only on CUDA, so recognise such errors by their text
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def describe_device(device: torch.device) -> str:
    """Return a description for people, such as "cuda (NVIDIA H200)" or "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else device.type
