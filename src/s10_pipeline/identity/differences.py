"""Describe in words which parameters, files, inputs, code or library versions differ between two fingerprints."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

# A fingerprint, that is, everything that a result depends on: group such as "code" -> name -> value or content digest.
Parts = dict[str, dict[str, Any]]

# Placeholder for the digest of an input that an earlier stage has yet to make. Comparisons report no change for it.
PENDING = "(to be made)"

# Wording of a change in each group of a fingerprint, with placeholders for name, old value and new value.
WORDS = {
    "parameters": "{name} {old} -> {new}",
    "files": "the content of {name} changed",
    "inputs": "{name} changed",
    "code": "code of {name}",
    "libraries": "{name} {old} -> {new}",
    "wiring": "its {name} in the pipeline changed",
}


def flatten(tree: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries by dotted names; an empty dictionary is a leaf."""
    if not isinstance(tree, dict) or not tree:
        return {name: tree}
    inner = (flatten(value, f"{name}.{key}" if name else str(key)) for key, value in tree.items())
    return {key: value for leaves in inner for key, value in leaves.items()}


def changes_in_words(old: Parts, new: Parts, most: int = 3) -> str:
    """Describe the first few differences between two fingerprints, as ``train.epochs 3 -> 4, code of nodes.fit``."""
    changes = []
    for group, words in WORDS.items():
        before, after = old.get(group, {}), new.get(group, {})
        names = sorted({**after, **before}) if group == "code" else {**after, **before}
        for name in names:
            # Compare values as JSON text, because in Python 3 == 3.0 and True == 1.
            told = [json.dumps(side[name]) if name in side else "nothing" for side in (before, after)]
            if told[0] != told[1] and after.get(name) != PENDING:
                short = [text.replace('"', "")[:60] for text in told]
                changes.append(words.format(name=name, old=short[0], new=short[1]))
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return ", ".join(changes[:most]) + more


def printable(text: str) -> str:
    """Return a text with non-printable characters escaped; file names or server messages may contain escape codes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean X?`` if a known word is similar, else ``one of: A, B, C``.

    The comparison ignores case. More than 30 known words are not listed.
    """
    words = sorted(known)
    by_lower = {w.lower(): w for w in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    return f"one of: {', '.join(words)}" if len(words) <= 30 else "see the documentation for the names"
