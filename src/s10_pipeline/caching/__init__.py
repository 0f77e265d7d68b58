"""Stages that know when they are stale: fingerprints, records and the runner that goes by them.

The package imports nothing else of the project, so it can be lifted into another one: give a subclass of
:class:`~.runner.CachingRunner` the :class:`~.fingerprint.Rules` of that project, put a
:class:`~.records.RecordsDataset` called ``records`` into the catalog, and make the runner the default of ``kedro run``.
"""
