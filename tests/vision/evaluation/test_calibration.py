import io

import numpy as np
import pytest
from scipy.special import softmax

from s10_pipeline.vision.evaluation import calibration
from s10_pipeline.vision.evaluation.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature


def drawn_labels(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels that follow the softmax of ``logits`` exactly: a calibrated model of them has temperature 1."""
    cumulative = softmax(logits, axis=1).cumsum(1)
    return (np.random.default_rng(seed).random((len(logits), 1)) > cumulative).sum(1).clip(0, logits.shape[1] - 1)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_finds_the_temperature_that_the_labels_were_drawn_with(true_temperature):
    logits = np.random.default_rng(1).normal(0, 2, (20_000, 10))
    labels = drawn_labels(logits / true_temperature)
    p_nk = softmax(logits, axis=1)
    fitted = fit_temperature(p_nk, labels)
    assert fitted == pytest.approx(true_temperature, rel=0.03)
    assert calibration.expected_calibration_error(p_nk, labels, 15) > 0.015 or true_temperature == 1.0
    rescaled = calibration.apply_temperature(p_nk, true_temperature)
    np.testing.assert_allclose(rescaled, softmax(logits / true_temperature, axis=1), atol=1e-12)
    assert calibration.expected_calibration_error(rescaled, labels, 15) < 0.015


@pytest.mark.parametrize(("sureness", "told"), [(0.4, True), (0.9, True), (0.999, False), (1.0, False)])
def test_images_that_are_all_right_tell_underconfidence_where_some_should_be_wrong(sureness, told):
    """The loss falls with the temperature down to the bound, or is zero before it."""
    probabilities = np.full((40, 10), (1 - sureness) / 9)
    labels = np.arange(40) % 10
    probabilities[np.arange(40), labels] = sureness
    fitted = fit_temperature(probabilities, labels)
    assert fitted == pytest.approx(MIN_TEMPERATURE, rel=1e-3)
    best, low, high = calibration.temperature_interval(probabilities, labels)
    assert best == fitted
    assert low == pytest.approx(MIN_TEMPERATURE)
    assert (high < 1) == told


@pytest.mark.parametrize(("temperature", "lowest", "highest"), [(1.0, 0.01, 0.09), (1.3, 0.9, 1.0)])
def test_the_interval_excludes_one_for_the_miscalibrated(temperature, lowest, highest):
    """Of 200 models with 400 images; benchmarks/results has more of them."""
    rng, excluded = np.random.default_rng(0), 0
    for seed in range(200):
        logits = rng.normal(0, 2, (400, 10))
        p_nk = softmax(temperature * logits, axis=1)
        _, low, high = calibration.temperature_interval(p_nk, drawn_labels(logits, seed))
        excluded += not low <= 1 <= high
    assert lowest <= excluded / 200 <= highest


def test_a_calibrated_model_has_a_calibration_error_and_an_interval_that_holds_none():
    logits = np.random.default_rng(0).normal(0, 2, (400, 10))
    p_nk, labels = softmax(logits, axis=1), drawn_labels(logits)
    low, high, usual = calibration.calibration_error_interval(p_nk, labels, 15)
    assert low == 0.0
    assert usual == pytest.approx(calibration.expected_calibration_error(p_nk, labels, 15), abs=0.03)
    assert high > 0.01
    for seed in range(40):
        labels = drawn_labels(logits, seed)
        low, high, _ = calibration.calibration_error_interval(p_nk, labels, 15)
        assert low <= calibration.expected_calibration_error(p_nk, labels, 15) <= high + 1e-12, seed
    labels = drawn_labels(logits)
    overconfident = softmax(3 * logits, axis=1)
    low, high, usual = calibration.calibration_error_interval(overconfident, labels, 15)
    assert usual < low < calibration.expected_calibration_error(overconfident, labels, 15) < high + 0.02


def test_probabilities_of_zero_and_perfect_answers_stay_in_bounds():
    certain = np.eye(3)[[0, 1, 2, 0]]
    nearly = 0.7 * certain + 0.1
    assert MIN_TEMPERATURE <= fit_temperature(nearly, np.array([0, 1, 2, 0])) < 0.1
    assert MIN_TEMPERATURE <= fit_temperature(certain, np.array([0, 1, 2, 0])) <= MAX_TEMPERATURE
    assert fit_temperature(certain, np.array([1, 2, 0, 1])) == pytest.approx(MAX_TEMPERATURE, rel=1e-3)
    assert np.isfinite(calibration.apply_temperature(certain, 20.0)).all()


def test_bins_hold_each_image_once_with_upper_ends_inclusive():
    probabilities = np.array([[0.5, 0.5], [0.8, 0.2], [0.81, 0.19], [1.0, 0.0]])
    bins = calibration.measure_reliability(probabilities, np.array([0, 0, 1, 0]), 5)
    assert bins["count"].tolist() == [0, 0, 1, 1, 2]
    assert bins["accuracy"].tolist()[2:] == [1.0, 1.0, 0.5]
    assert bins["confidence"].iloc[4] == pytest.approx(0.905)
    assert bins["accuracy"].isna().tolist() == [True, True, False, False, False]


def test_the_figure_shows_counts_before_and_after():
    logits = np.random.default_rng(0).normal(0, 3, (300, 5))
    table = calibration.tabulate_reliability(softmax(logits, axis=1), drawn_labels(logits / 2), 2.0, 10)
    figure = calibration.plot_reliability(table, "a $ title $")
    figure.savefig(io.BytesIO())
    tops, bottoms = figure.axes[:2], figure.axes[2:]
    assert "temperature 2.00" in tops[1].get_title()
    assert [sum(bar.get_height() for bar in ax.patches) for ax in bottoms] == [300, 300]
