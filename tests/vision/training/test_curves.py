import pandas as pd

from s10_pipeline.vision.training.curves import plot_accuracy_curves, plot_loss_curves

EPOCHS = {"epoch": [1, 2, 3, 4], "lr": [0.1, 0.1, 0.01, 0.01], "lr_after": [0.1, 0.01, 0.01, 0.001]}
FIGURES = {"loss": [2.0, 1.5, 1.2, 1.1], "accuracy": [0.2, 0.4, 0.5, 0.6]}
HISTORY = pd.DataFrame(EPOCHS)
for what, values in FIGURES.items():
    for split, more in (("train", 0.0), ("val", 0.1), ("test", 0.2)):
        HISTORY[f"{split}_{what}"] = [value + more for value in values]


def test_train_validation_and_test_are_drawn_with_their_last_values():
    for plot, what, last in ((plot_accuracy_curves, "accuracy", "70.00%"), (plot_loss_curves, "loss", "1.200")):
        ax = plot(HISTORY, "title").axes[0]
        curves = {
            line.get_label().split(":")[0]: line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) == 4
        }
        assert curves["test"] == HISTORY[f"test_{what}"].tolist()
        assert curves["validation"] == HISTORY[f"val_{what}"].tolist()
        assert curves["train (augmented)"] == HISTORY[f"train_{what}"].tolist()
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert last in legend[1]
        assert legend[2] == "test", "the model's accuracy on test images is told in float32, by evaluation"


def test_learning_rate_drops_are_marked_where_they_act():
    ax = plot_accuracy_curves(HISTORY, "title").axes[0]
    marks = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2]
    # the drop after the last epoch changed nothing any more
    assert marks == [2.5]
    assert [text.get_text() for text in ax.texts] == ["lr 0.01"]
    assert plot_accuracy_curves(HISTORY.head(1), "title").axes[0].lines, "one epoch is enough"
