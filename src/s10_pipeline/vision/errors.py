"""The one exception that means "the input is wrong", as against "the program is wrong"."""

from ..identity.differences import did_you_mean, printable

__all__ = ["UserError", "did_you_mean", "one_line", "printable"]


class UserError(ValueError):
    """A mistake that the user can mend: one line with the value, the rule and the remedy.

    Commands print it as ``Error: <message>`` without a traceback and exit non-zero.
    """


def one_line(error: object) -> str:
    """Return an error's reason in one line: the system's words if it has them, else its own, else its type."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
