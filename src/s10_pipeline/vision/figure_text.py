"""Texts that come from data, in figures: drawn as they are, whatever they contain."""

from matplotlib.font_manager import FontProperties, findfont, get_font


def drawable(text: str) -> str:
    """One line without characters that the font lacks: matplotlib warns about each of those."""
    font = get_font(findfont(FontProperties()))
    return "".join(c if font.get_char_index(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def literal(text: str, max_length: int | None = None) -> str:
    """As :func:`drawable`, shortened to ``max_length`` characters, and without dollars that start mathematics."""
    text = drawable(text)
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 1] + "…"
    return text.replace("$", r"\$")
