"""One run of the nodes up to the verdicts, as small as it gets."""

import json

import pytest

from project_nodes import call
from s10_pipeline.pipeline_registry import register_pipelines
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore


@pytest.fixture(scope="session")
def artifacts(data, tiny, tmp_path_factory):
    """What stages leave, by dataset name; nothing may be changed in place."""
    given = {
        **vars(data),
        "checkpoints": CheckpointStore(tmp_path_factory.mktemp("checkpoints")),
        "params:lr_search": LrSearchParams(num_iterations=25, start_lr=1e-3, end_lr=1.0, method="minimum"),
        "params:train": tiny,
        "params:train.device": "cpu",
        "params:evaluate": EvaluateParams(),
    }
    given |= call("lr_range_test", given, **{"params:train": tiny.model_copy(update={"epochs": 80})})
    given |= call("train_resnet", given)
    given["provenance"] = json.loads(json.dumps(given["provenance"]))
    for node in register_pipelines()["evaluation"].nodes:
        given |= call(node.name, given)
    return given
