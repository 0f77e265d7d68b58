"""The exception for mistakes in the user's input, as opposed to errors in the program."""

from ..identity.differences import did_you_mean, printable

__all__ = ["UserError", "did_you_mean", "one_line", "printable"]


class UserError(ValueError):
    """A mistake that the user can correct. The message is one line with the value, the rule and the remedy.

    Commands print it as ``Error: <message>`` without a traceback and exit with a non-zero status.
    """


def one_line(error: object) -> str:
    """Return an error's reason in one line: the operating system's text, else the message, else the type's name."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
