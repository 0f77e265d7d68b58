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


@pytest.mark.parametrize("workers", [0, 3])
def test_others_have_as_many_workers_as_this_project(workers):
    from contenders import loader_of_single_images
    from setting import Setting

    loader = loader_of_single_images(Setting(num_images=32, depth=8, width=16, num_workers=workers))
    assert (loader.num_workers, loader.persistent_workers) == (workers, workers > 0)
