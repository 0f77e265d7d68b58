"""Kedro datasets for this project's artifacts: versioned, saved atomically, on any fsspec file system."""
