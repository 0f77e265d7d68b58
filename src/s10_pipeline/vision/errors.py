"""The one exception that means "the input is wrong", as against "the program is wrong"."""

from ..identity.differences import did_you_mean

__all__ = ["UserError", "did_you_mean", "printable"]


class UserError(ValueError):
    """A mistake that the user can mend: one line with the value, the rule and the remedy.

    Commands print it as ``Error: <message>`` without a traceback and exit non-zero.
    """


def printable(text: str) -> str:
    """Return a text in one line that only prints: what a file's name or a server says may hold escape codes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
