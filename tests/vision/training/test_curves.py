import pandas as pd

from s10_pipeline.vision.training.curves import plot_accuracy_curves, plot_loss_curves

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "lr": [0.1, 0.1, 0.01, 0.01],
        "train_loss": [2.0, 1.5, 1.2, 1.1],
        "val_loss": [2.1, 1.6, 1.3, 1.2],
        "test_loss": [2.2, 1.7, 1.4, 1.3],
        "train_accuracy": [0.2, 0.4, 0.5, 0.6],
        "val_accuracy": [0.21, 0.41, 0.51, 0.61],
        "test_accuracy": [0.22, 0.42, 0.52, 0.62],
        "lr_after": [0.1, 0.01, 0.01, 0.001],
    }
)


def test_train_validation_and_test_are_drawn_with_their_last_values():
    for plot, what, last in ((plot_accuracy_curves, "accuracy", "61.00%"), (plot_loss_curves, "loss", "1.200")):
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


def test_one_epoch_is_enough():
    assert plot_accuracy_curves(HISTORY.head(1), "title").axes[0].lines
