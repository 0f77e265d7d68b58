"""Kedro datasets of this project's artifacts: versioned, saved atomically, on any fsspec file system."""
