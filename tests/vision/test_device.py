import contextlib

import pytest
import torch

from s10_pipeline.vision import device as module
from s10_pipeline.vision.device import choose_device, choose_precision
from s10_pipeline.vision.errors import UserError

CPU = torch.device("cpu")


def test_a_gpu_that_torch_cannot_use_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.setattr(module, "NVIDIA_CARDS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for requested in ("auto", "cuda"):
        with pytest.raises(UserError, match=rf"train.device={requested}: an NVIDIA GPU is there, .*update the driver"):
            choose_device(requested)
    assert choose_device("cpu") == CPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose_device("auto") == CPU


def test_precision_follows_the_hardware(monkeypatch):
    for capable, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(module, "cpu_computes_bf16", lambda capable=capable: capable)
        assert choose_precision("auto", CPU).name == name
    cuda = torch.device("cuda")
    for capability, name in (((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, capability=capability: capability)
        assert choose_precision("auto", cuda).name == name


@pytest.mark.parametrize("capability", [(7, 5), (6, 1), (8, 0), (9, 0)])
def test_bf16_that_the_card_cannot_compute_is_an_error(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    can, has = capability >= (8, 0), ".".join(map(str, capability))
    message = f"train.precision=bf16: needs compute capability 8.0, this GPU has {has}; use auto"
    for name in ("fp16", "fp32", "bf16"):
        with contextlib.nullcontext() if can or name != "bf16" else pytest.raises(UserError, match=message):
            assert choose_precision(name, torch.device("cuda")).name == name


def test_autocast_computes_in_the_named_format():
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with choose_precision(name, CPU).autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_takes_a_usable_gpu():
    assert choose_device("auto").type == "cuda"
