"""Pipeline ``export``: the stored model as an ONNX file."""

from kedro.pipeline import Pipeline, node

from .nodes import export_onnx


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                export_onnx,
                ["model", "test_images", "params:export"],
                ["onnx_model", "export_check"],
                name="export_onnx",
            )
        ]
    )
