"""Format numbers for the report."""

from typing import Any

NOTHING = "–"


def percent(fraction: float | None, digits: int = 1) -> str:
    return NOTHING if fraction is None else f"{fraction:.{digits}%}"


def number(value: Any, digits: int = 4) -> str:
    """Format a float with significant ``digits``, an integer with thousands separators, anything else with ``str``."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    # large numbers get no exponent: 1,470 images per second, not 1.47e+03
    return f"{value:,.0f}" if min(1000, 10**digits) <= abs(value) < 1e15 else f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
