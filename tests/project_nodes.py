"""The project's nodes, to be run on values by the names of datasets."""

from s10_pipeline.pipeline_registry import register_pipelines

NODES = {node.name: node for pipeline in register_pipelines().values() for node in pipeline.nodes}


def call(name: str, given: dict, **changed: object) -> dict:
    """What a node makes of its inputs among ``given``, by dataset name."""
    return NODES[name].run({key: {**given, **changed}[key] for key in NODES[name].inputs})
