"""The commands ``kedro compare`` and ``python -m s10_pipeline join``, and checks of the options of ``kedro run``."""
