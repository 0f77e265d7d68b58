"""The one exception that means "the input is wrong", as against "the program is wrong"."""

from ..identity.differences import did_you_mean

__all__ = ["UserError", "did_you_mean"]


class UserError(ValueError):
    """A mistake that the user can mend: one line with the value, the rule and the remedy.

    Commands print it as ``Error: <message>`` without a traceback and exit non-zero.
    """
