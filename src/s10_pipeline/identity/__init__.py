"""Helpers to save and compare results: atomic file writes, content digests, code analysis, descriptions of changes.

The package imports neither Kedro nor torch nor other parts of this project.
"""
