"""The pipelines by name. One word a stage: folder, parameters file and tests are called the same."""

from kedro.pipeline import Pipeline

from .pipelines import data, evaluation, explain, export, lr_search, predict, training


def register_pipelines() -> dict[str, Pipeline]:
    """Each stage by its name; ``__default__`` is the whole line from archive to explanation."""
    stages = {
        "data": data.create_pipeline(),
        "lr_search": lr_search.create_pipeline(),
        "training": training.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "explain": explain.create_pipeline(),
    }
    afterwards = {"predict": predict.create_pipeline(), "export": export.create_pipeline()}
    return {"__default__": sum(stages.values(), Pipeline([])), **stages, **afterwards}
