"""Answers to "is it the same?": digests, the code that a function reaches, atomic writes, differences in words.

The package imports neither Kedro nor torch nor anything else of the project.
"""
