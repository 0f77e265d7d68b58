"""Register the Kedro pipelines, one per stage. Folder, parameters file and tests of a stage have its name."""

from kedro.pipeline import Pipeline

from .pipelines import data, evaluation, explain, export, lr_search, predict, training


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name; ``__default__`` runs from reading the data to the report."""
    stages = {
        "data": data.create_pipeline(),
        "lr_search": lr_search.create_pipeline(),
        "training": training.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "explain": explain.create_pipeline(),
    }
    afterwards = {"predict": predict.create_pipeline(), "export": export.create_pipeline()}
    return {"__default__": sum(stages.values(), Pipeline([])), **stages, **afterwards}
