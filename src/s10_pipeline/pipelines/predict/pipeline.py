"""Pipeline ``predict``: classify the user's own images with the stored model."""

from kedro.pipeline import Pipeline, node

from .nodes import predict_images


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                predict_images,
                ["model", "params:predict", "params:explain", "params:train.device"],
                ["predictions", "predictions_gallery"],
                name="predict_images",
            )
        ]
    )
