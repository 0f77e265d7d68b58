"""Detect stale stages (Kedro nodes): fingerprints, records of finished nodes, a runner that uses them, and commands.

Besides Kedro, the package imports only ``identity`` of this project. README.md explains how to use both elsewhere.
"""
