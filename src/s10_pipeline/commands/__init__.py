"""The command ``kedro compare``, and checks of the options of ``kedro run``."""
