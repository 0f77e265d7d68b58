"""Detect stale stages (Kedro nodes): fingerprints, run records, a runner that uses them, and commands.

The package imports Kedro and ``identity``. README.md explains how to use both in other projects.
"""
