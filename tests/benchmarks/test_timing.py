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


def test_runs_take_turns_after_one_round_to_warm_up():
    from setting import in_turn

    order = []

    def run(name):
        order.append(name)
        return float(len(order))

    seconds = in_turn({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=2)
    assert order == list("ababab")
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


@pytest.mark.parametrize(("workers", "tried"), [(0, [0, 1, 2]), (7, [0, 1, 2, 7])])
def test_the_base_of_the_cost_tables_is_one_configuration(workers, tried):
    from cost import Configuration, sweeps

    base = Configuration(workers)
    tables = sweeps(base)
    assert all(base in rows for rows in tables.values())
    assert [c.num_workers for c in tables["workers", "num_workers"]] == tried
    rows = [c for table in tables.values() for c in table]
    assert len(set(rows)) == len(rows) - 3


def test_a_row_of_cost_tells_its_spread():
    from cost import row

    assert row("32", 100, [0.5, 2.0, 1.0]) == "| 32 | 100 (50 to 200) | 10.00 |"
