"""Kedro's view of the stages: thin nodes over ``s10_pipeline.vision``. They never import each other."""
