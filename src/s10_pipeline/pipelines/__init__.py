"""Kedro pipelines, one per stage; their nodes call ``s10_pipeline.vision``. Pipelines do not import each other."""
