"""Edits of the small project's code: those that must run nothing, and those that must run the stages they name."""

# ruff: noqa: E501 - edits and sources stand in one line each

# (file, old, new) -> nodes that run
HARMLESS = {
    "comment": ("deep.py", "# as told by FACTOR", "# as FACTOR says"),
    "docstring of a function": ("deep.py", '"""Twice."""', '"""Doubled."""'),
    "docstring removed": ("deep.py", '    """Twice."""\n', ""),
    "docstring of the package": ("__init__.py", "A small project", "A little project"),
    "line breaks": ("models.py", 'METHODS = {"plain": scale, "shifted": shift}', "METHODS = {\n    'plain': scale,\n    'shifted': shift,\n}"),
    "quotes": ("nodes.py", 'fit["rate"]', "fit['rate']"),
    "function that nobody reaches": ("deep.py", "return value - 1", "return value - 2"),
    "constant that nobody reaches": ("constants.py", "UNUSED = 0", "UNUSED = 1"),
    "constants reordered": ("constants.py", "FACTOR = 2\nOFFSETS = {\"a\": 1, \"b\": 2}", "OFFSETS = {\"a\": 1, \"b\": 2}\nFACTOR = 2"),
    "import added that nobody uses": ("deep.py", "from . import constants", "import math\n\nfrom . import constants"),
    "function beside a plugin": ("plugins/first.py", "return value\n", "return value + 1\n"),
    "file renamed in a comment of the page's module": ("page/__init__.py", "def render", "# see page.txt\ndef render"),
    "assertion at the end of a module": ("constants.py", "UNUSED = 0", "UNUSED = 0\nassert FACTOR"),
}  # fmt: skip

DECIDING = {
    "own code": ("nodes.py", 'fit["epochs"]', 'fit["epochs"] + 1', ["prepare", "fit", "judge"]),
    "own code, equal result": ("nodes.py", 'fit["epochs"]', 'fit["epochs"] + 0', ["prepare", "fit"]),
    "another stage's code": ("nodes.py", "return sorted(local)", "return sorted(local)[::-1]", ["label"]),
    "constant of a helper, by attribute": ("constants.py", "FACTOR = 2", "FACTOR = 3", ["prepare", "fit", "judge"]),
    "constant of a helper, by name": ("constants.py", '"a": 1', '"a": 2', ["prepare", "fit", "judge"]),
    "entry of a constant that is not read": ("constants.py", '"b": 2', '"b": 3', ["prepare", "fit"]),
    "table of functions": ("models.py", '"plain": scale', '"plain": shift', ["prepare", "fit", "judge"]),
    "base class": ("models.py", "bonus = 0", "bonus = 1", ["prepare", "fit", "judge"]),
    "default": ("models.py", "start=deep.shift", "start=deep.scale", ["prepare", "fit", "judge"]),
    "decorator": ("models.py", "return function(*args)", "return function(*args) + 1", ["prepare", "fit", "judge"]),
    "plugin that registers itself": ("plugins/first.py", "return value + 0", "return value + 1", ["read", "clean", "prepare", "fit", "judge"]),
    "registering": ("registry.py", "READERS[name] = function", "READERS[name] = function  \n        READERS[name + name] = function", ["read"]),
    "module imported by its name": ("named/beta.py", "value + 1", "value + 2", ["clean"]),
    "module imported by its name, the one in use": ("named/alpha.py", "return value", "return value + 1", ["clean", "prepare", "fit", "judge"]),
    "template": ("page/page.txt", "score", "the score", ["judge"]),
    "class that only a type hint names": ("models.py", 'return "shown"', 'return "displayed"', ["judge"]),
    "statement that runs at import": ("deep.py", "from .constants import OFFSETS", 'from .constants import OFFSETS\n\nconstants.OFFSETS["a"] = 7', ["prepare", "fit", "judge"]),
}  # fmt: skip
