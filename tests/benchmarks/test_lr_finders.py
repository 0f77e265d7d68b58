"""The score of learning-rate finders: its arithmetic by known answers, and a run of it on little data."""

import argparse
import random

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from torch_lr_finder import LRFinder

import lr_finders
from lr_regret import AccuracyCurve, regrets
from lr_rules import RULES, TYPED, Curve, plain_mean, suggested, torch_lr_finder
from lr_settings import load_settings, rates_of_test

DIGITS = {"source": "digits", "images": 80, "val_fraction": 0.25}
SMALL = {"half": "design", "data": DIGITS, "lowest_rate": 0.0316, "seeds": 1}
ADDED_TO_DESIGN = {"shapes-whitened", "shapes-batch128", "cifar-no-momentum", "cifar-momentum97"}
NETWORK = {"epochs": 1, "precision": "fp32", "architecture": {"depth": 8, "width": 4, "stem": "whitened"}}


def runs_of(rates, accuracies, seeds=3):
    rows = [(rate, seed, a, a) for rate, a in zip(rates, accuracies, strict=True) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["rate", "seed", "accuracy", "val_accuracy"])


def test_the_halves_are_those_of_the_lot():
    settings = load_settings()
    first = {name: setting for name, setting in settings.items() if name not in ADDED_TO_DESIGN}
    drawn = set(random.Random(16).sample(sorted(first), len(first) // 2))
    assert {name for name, setting in settings.items() if setting.half == "design"} == drawn | ADDED_TO_DESIGN
    assert len(settings) >= 12
    for setting in settings.values():
        setting.params(seed=0)


def test_a_parabola_is_found_again():
    rates = 10.0 ** np.arange(-2, 0.5, 0.5)
    accuracies = 0.8 - 0.04 * (np.log10(rates) + 1) ** 2
    chosen = pd.DataFrame({"best": [0.1] * 5, "high": [10**-0.5, 1.0] * 2 + [np.nan]})
    found = regrets(runs_of(rates, accuracies), chosen)
    assert found.loc["best", "regret"] == pytest.approx(0, abs=1e-9)
    # 4 points per squared decade: 1 and 4, two tests each
    assert found.loc["high", "regret"] == pytest.approx(2.5)
    assert found.loc["high", "low"] < 2.5 < found.loc["high", "high"]
    assert found.loc["high", "spread"] == pytest.approx(10**0.5)
    # all seeds are equal, so choosing by one of them costs nothing
    assert found.loc["grid, one seed", "regret"] == pytest.approx(0, abs=1e-9)


def test_a_cliff_lifts_no_top():
    rates = 10.0 ** np.arange(-2.5, 0.5, 0.5)
    curve = AccuracyCurve(rates, np.array([58.0, 62.0, 65.0, 66.0, 65.0, 10.0]))
    assert 66 <= curve.best < 66.5 and 0.03 < curve.best_rate < 0.15
    # on the cliff and beyond the last rate: the trained rates' own figures
    assert curve.regret([1.0]) == curve.regret([7.0]) == pytest.approx(curve.best - 10)


def valley_curve(num_batches=150, noise=0.0):
    """Flat at 2.3, falling to 1 at 0.1, and soon above all stops."""
    lr = rates_of_test(1e-5, 10.0, num_batches)
    x = np.log10(lr)
    loss = 2.3 - 1.3 / (1 + np.exp(-4 * (x + 2))) + np.exp(8 * (x + 0.3))
    return Curve(lr, loss + noise * np.random.default_rng(0).standard_normal(num_batches))


def test_torch_lr_finder_reads_what_its_own_library_reads():
    curve = valley_curve(noise=0.05)
    smoothed = plain_mean(curve.loss, 0.05)
    end = np.flatnonzero(smoothed > 5 * np.minimum.accumulate(smoothed))[0] + 1
    finder = LRFinder.__new__(LRFinder)
    finder.history = {"lr": list(curve.lr[:end]), "loss": list(smoothed[:end])}
    assert torch_lr_finder(curve) == finder.plot(ax=Figure().subplots())[1]


def test_each_rule_reads_a_plain_valley_before_its_end():
    rates = suggested({"fresh": valley_curve(), "fine": valley_curve(), "warm": valley_curve()}, batch_size=64)
    assert set(rates) == {*TYPED, *RULES} and rates["typed 0.1 x batch/128"] == 0.05
    assert all(1e-3 < rate < 1 for rate in rates.values()), rates
    # the minimum lies near 0.2, behind it by the lag of the mean
    assert 0.15 < rates["seed today"] < 0.6
    assert rates["minimum / 10, warm"] == pytest.approx(rates["minimum, warm"] / 10)


def test_what_was_run_is_not_run_again(tmp_path, monkeypatch, capsys):
    small = {"NUM_RATES": 2, "LOWEST": 1.0, "HIGHEST": 0.01, "TESTS": ["fresh"], "TESTS_BEFORE": {0: [0]}}
    for name, value in small.items():
        monkeypatch.setattr(lr_finders, name, value)
    definitions = tmp_path / "settings.yml"
    small = {f"batch{size}": {**SMALL, "train": {**NETWORK, "batch_size": size}} for size in (16, 32)}
    definitions.write_text(yaml.safe_dump(small))
    settings = lr_finders.load_settings(definitions)
    results = lr_finders.Results(tmp_path / "results", settings)
    arguments = argparse.Namespace(settings=None, minutes=5, processes=1, own=[], cifar=None)
    lr_finders.run(arguments, settings, results)
    trainings, curves = results.table("trainings"), results.table("curves")
    run = [("batch16", 0.0316), ("batch16", 0.1), ("batch32", 0.0316), ("batch32", 0.1)]
    assert sorted(zip(trainings["setting"], trainings["rate"], strict=True)) == run
    assert trainings["accuracy"].between(0, 1).all()
    assert list(curves["setting"]) == ["batch16", "batch32"]
    assert capsys.readouterr().out.count("\n") == 6
    # again: nothing; a row lost: that one; a setting defined anew: all of its own
    files = {file.name: file.read_bytes() for file in (tmp_path / "results").iterdir()}
    lr_finders.run(arguments, settings, results)
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "results").iterdir()}
    small["batch32"]["train"]["epochs"] = 2
    definitions.write_text(yaml.safe_dump(small))
    left = lr_finders.Results(tmp_path / "results", lr_finders.load_settings(definitions)).table("trainings")
    assert set(left["setting"]) == {"batch16"}
    lines = lr_finders.report(list(settings.values()), trainings, curves)
    assert lines[2].startswith("| batch16 | design | | | | 2 |")
