"""Pipeline ``lr_search``: the learning-rate range test."""

from kedro.pipeline import Pipeline, node

from .nodes import lr_range_test


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                lr_range_test,
                ["train_images", "train_set", "params:lr_search", "params:train"],
                ["lr_curve", "best_lr", "lr_curve_plot"],
                name="lr_range_test",
            )
        ]
    )
