import io

import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.evaluation.confusion import MAX_CLASSES, plot_confusion_matrix


@pytest.mark.parametrize("num_classes", [2, 10, 30])
def test_the_confusion_matrix_counts(num_classes):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, num_classes, (2, 500))
    table = {"label": labels, "prediction": predictions} | {f"p_class {k}": 0.0 for k in range(num_classes)}
    ax = plot_confusion_matrix(pd.DataFrame(table), "title").axes[0]
    counts = {text.get_position(): int(text.get_text()) for text in ax.texts}
    assert sum(counts.values()) == 500 and len(ax.get_yticklabels()) == num_classes
    place = int(predictions[0]), int(labels[0])
    assert counts[place] == ((labels == place[1]) & (predictions == place[0])).sum()
    opacity = {tuple(cell.get_center()): cell.get_alpha() for cell in ax.patches}
    assert opacity[place] == pytest.approx(0.1 + 0.9 * counts[place] / (labels == place[1]).sum())


def test_of_many_classes_those_that_are_mixed_up_most_are_drawn():
    labels = np.repeat(np.arange(100), 8)
    # each of the first 40 is taken for its neighbour once, 50 for 7 and for 8 more often
    predictions = np.where((labels < 40) & (np.arange(800) % 8 == 0), (labels + 1) % 40, labels)
    predictions[labels == 50] = [7, 7, 7, 8, 8, 50, 50, 50]
    table = {"label": labels, "prediction": predictions} | {f"p_class {k}": 0.0 for k in range(100)}
    ax = plot_confusion_matrix(pd.DataFrame(table), "title").axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == MAX_CLASSES and "of 100" in ax.get_title()
    assert names == [f"class {k}" for k in (*range(29), 50)]
    counts = {text.get_position(): text.get_text() for text in ax.texts}
    assert counts[names.index("class 7"), names.index("class 50")] == "3"


def test_names_of_classes_are_drawn_as_they_are():
    names = ("$x^2$", "$\\broken{$", "木 and more than fourteen characters")
    table = {"label": [0, 1, 2], "prediction": [1, 1, 0]} | {f"p_{name}": 0.0 for name in names}
    figure = plot_confusion_matrix(pd.DataFrame(table), "100 $ or 200 $")
    figure.savefig(io.BytesIO())  # neither mathematics nor a warning about a missing glyph
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"\$x^2\$"
