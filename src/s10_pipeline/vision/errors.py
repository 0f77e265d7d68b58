"""The one exception that means "the input is wrong", as against "the program is wrong"."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend: one line with the value, the rule and the remedy.

    Commands print it as ``Error: <message>`` without a traceback and exit non-zero.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean X?`` where a known word is close, else ``one of: A, B, C``.

    Case is ignored in the comparison; of more than 12 known words none are listed.
    """
    words = sorted(known)
    by_lower = {w.lower(): w for w in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    return f"one of: {', '.join(words)}" if len(words) <= 12 else "see the documentation for the names"
