"""The scripts that measure speed and memory, on little data."""

from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_the_plain_loop_is_contiguous_all_through():
    from contenders import plain_loop
    from setting import Setting

    layouts = []

    def note(module, inputs):
        if isinstance(module, torch.nn.Conv2d):
            layouts.append(inputs[0].is_contiguous() and module.weight.is_contiguous())

    epoch = plain_loop(Setting(num_images=32, depth=8, width=16, batch_size=16))
    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        epoch()
    finally:
        handle.remove()
    assert len(layouts) > 8
    assert all(layouts)
