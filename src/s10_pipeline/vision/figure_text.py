"""Prepare texts that come from data, such as class names, for matplotlib, so that any character can be drawn."""

import functools
import logging
from contextlib import suppress

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

_log = logging.getLogger(__name__)

# The character for which the missing font was logged; the warning is logged only once.
_warned: list[str] = []


def drawable(text: str) -> str:
    r"""Return the text as one line; a character that is missing in all installed fonts becomes an escape (``\u732b``).

    Call this before axes are created: it may add a fallback font to matplotlib's settings, which only texts created
    afterwards use.
    """
    return "".join(c if _can_draw(c) else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def literal(text: str, max_length: int | None = None) -> str:
    """Prepare text for matplotlib (:func:`drawable`), cut it to ``max_length`` characters, and escape dollar signs.

    Without the escapes, matplotlib would typeset text between dollar signs as mathematics.
    """
    text = drawable(text)
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 1] + "…"
    return text.replace("$", r"\$")


@functools.cache
def _can_draw(char: str) -> bool:
    """Return whether an installed font has the character, and add that font to matplotlib's fallback fonts."""
    if get_font(findfont(FontProperties())).get_char_index(ord(char)):
        return True
    for font in sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400, font.name)):
        # Skip a "Last Resort" font, because it draws an empty box for every character.
        with suppress(OSError, RuntimeError):
            if not font.name.startswith("Last Resort") and get_font(font.fname).get_char_index(ord(char)):
                if font.name not in rcParams["font.family"]:
                    rcParams["font.family"] = [*rcParams["font.family"], font.name]
                return True
    if char.isprintable() and not _warned:
        _warned.append(char)
        _log.warning(
            "figures: no installed font has %s, so figures show the code of this character; install a font that has "
            "it, such as Google's Noto",
            char,
        )
    return False
