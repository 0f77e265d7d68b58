import io

import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.evaluation.confusion import plot_confusion_matrix


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_the_confusion_matrix_counts(num_classes):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, num_classes, (2, 500))
    table = {"label": labels, "prediction": predictions} | {f"p_class {k}": 0.0 for k in range(num_classes)}
    ax = plot_confusion_matrix(pd.DataFrame(table), "title").axes[0]
    rates = ax.images[0].get_array()
    assert rates.shape == (num_classes, num_classes)
    expected = ((labels == 0) & (predictions == 1)).sum() / (labels == 0).sum()
    assert rates[0, 1] == pytest.approx(expected)
    words = [text.get_text() for text in ax.texts]
    assert sum(int(word) for word in words if "%" not in word) == (500 if num_classes <= 20 else 0)
    assert (f"{expected:.1%}" in words) == (num_classes <= 20)


def test_names_of_classes_are_drawn_as_they_are():
    names = ("$x^2$", "$\\broken{$", "木 and more than fourteen characters")
    table = {"label": [0, 1, 2], "prediction": [1, 1, 0]} | {f"p_{name}": 0.0 for name in names}
    figure = plot_confusion_matrix(pd.DataFrame(table), "100 $ or 200 $")
    figure.savefig(io.BytesIO())  # neither mathematics nor a warning about a missing glyph
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"\$x^2\$"
