"""Stages that know when they are stale: fingerprints, records, the runner that goes by them, and commands.

The package imports nothing else of the project but ``identity`` beside it; README.md says how to use both elsewhere.
"""
