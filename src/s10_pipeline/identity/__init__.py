"""Tools to tell whether two results are the same: content digests, code analysis, atomic writes, named differences.

The package imports neither Kedro nor torch nor other parts of this project.
"""
