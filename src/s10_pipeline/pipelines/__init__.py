"""Kedro pipelines, one per stage; their nodes call ``s10_pipeline.vision``. They do not import each other."""
