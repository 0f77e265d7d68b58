"""``kedro compare``, and checks of what ``kedro run`` is asked for."""
