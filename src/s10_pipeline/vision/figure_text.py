"""Texts that come from data, in figures: drawn as they are, whatever they contain."""

import functools
import logging
from contextlib import suppress

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

_log = logging.getLogger(__name__)

_warned: list[str] = []  # once is enough


def drawable(text: str) -> str:
    r"""One line, in which a character that no installed font has is escaped (``\u732b``).

    Call it before the axes are made: fonts that stand in for the default one are taken up by texts made afterwards.
    """
    return "".join(c if _can_draw(c) else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def literal(text: str, max_length: int | None = None) -> str:
    """As :func:`drawable`, shortened to ``max_length`` characters, and without dollars that start mathematics."""
    text = drawable(text)
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 1] + "…"
    return text.replace("$", r"\$")


@functools.cache
def _can_draw(char: str) -> bool:
    """Whether the default font has the character, or another one that is made to stand in for it."""
    if get_font(findfont(FontProperties())).get_char_index(ord(char)):
        return True
    for font in sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400, font.name)):
        # the last resort has a box for every character
        with suppress(OSError, RuntimeError):
            if not font.name.startswith("Last Resort") and get_font(font.fname).get_char_index(ord(char)):
                if font.name not in rcParams["font.family"]:
                    rcParams["font.family"] = [*rcParams["font.family"], font.name]
                return True
    if char.isprintable() and not _warned:
        _warned.append(char)
        _log.warning("figures: no installed font has %s, so that is escaped; install one, as of Google's Noto", char)
    return False
