"""Which code of a package a function reaches, followed through the source: nothing is imported or run.

Reached is what a piece names: functions, classes and constants, through imports (lazy, relative and re-exporting ones),
decorators, defaults, bases and type hints; and what acts when the modules that hold them are imported. Where it cannot
be read which name is meant (``import_module(variable)``, ``getattr(module, name)``, ``eval``), whole modules count.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name

from .source import Dotted, Module, Package, Statement, digest_of

IMPORT = "(import)"  # a piece of a module beside its definitions: what acts when it is imported
ALL = ""  # no name: the whole module

IMPORTS_BY_NAME = re.compile(r"\b(?:import_module|__import__)\((?:f?['\"]([\w.]*))?")
LOOKS_AROUND = re.compile(r"\b(?:iter_modules|walk_packages|__subclasses__)\(")
NAMES_MADE_UP = re.compile(r"(?<![\w.])(?:eval|exec|globals)\(")
READS_FILES = re.compile(r"\b(?:__file__|__package__|resources|pkgutil)\b")


class Reach:
    """Everything that some functions of a package reach.

    Args:
        starts: (module, name) of each.

    Attributes:
        pieces: name without the package -> digest of its text (or of a data file's bytes).
        libraries: top-level names of what is imported from elsewhere.
    """

    def __init__(self, package: Package, *starts: tuple[str, str]) -> None:
        self.pieces: dict[str, str] = {}
        self.libraries: set[str] = set()
        self._package = package
        self._todo = list(starts)
        seen: set[tuple[str, str]] = set()
        while self._todo:
            step = self._todo.pop()
            if step not in seen:
                seen.add(step)
                self._visit(*step)

    def _visit(self, place: str, name: str) -> None:
        if place not in self._package.files:
            self.libraries.add(place.partition(".")[0])
            return
        module = self._package.module(place)
        self._import(place)
        if name == IMPORT:
            statements = [s for s in module.statements if s.runs and self._acts(module, s)]
            for found in [i for s in module.statements if s.runs and not s.is_definition for i in s.imports]:
                self._import(".".join((found.module, *found.path)))
        elif name in module.bindings:
            statements = module.bindings[name]
        else:
            # a lambda, a module handed around, a name that a module makes while it runs: all of it
            name, statements = "(all)", module.statements
            self._follow(place, [(bound,) for bound in module.bindings])
        if taken := [s for s in statements if not s.is_import]:
            self._take(module, name, taken)

    def _import(self, origin: str) -> None:
        """What importing does: modules', their packages' and their imports' statements that act count too."""
        while origin:
            self._todo += [(origin, IMPORT)] if origin in self._package.files else []
            origin = origin.rpartition(".")[0]

    def _acts(self, module: Module, statement: Statement) -> bool:
        """Whether it does more than to bind names; a definition, by a decorator of ours or a base that notes it."""
        if statement.acts or any(self._ours(module, statement.marks)):
            return True
        bases = [(home, s) for home, name in self._ours(module, statement.bases) for s in home.bindings.get(name, ())]
        return any(self._acts(home, base) for home, base in bases if base is not statement)

    def _ours(self, module: Module, names: Iterable[Dotted]) -> Iterator[tuple[Module, str]]:
        for path in names:
            for place, name in self._definitions(module.name, path) if path[0] in module.bindings else ():
                if place in self._package.files:
                    yield self._package.module(place), name

    def _definitions(self, place: str, path: Dotted) -> Iterator[tuple[str, str]]:
        """(module, name) of what a dotted name means, seen from a module; of other libraries' the module alone."""
        while path and f"{place}.{path[0]}" in self._package.files:
            if path[0] in self._package.module(place).bindings:
                break
            place, path = f"{place}.{path[0]}", path[1:]
        statements = (
            self._package.module(place).bindings.get(path[0]) if place in self._package.files and path else None
        )
        if statements is None:
            yield place, ALL
        for statement in statements or ():
            for found in statement.imports:
                if found.name == path[0]:
                    yield from self._definitions(found.module, found.path + path[1:])
            if not statement.is_import:
                yield place, path[0]

    def _follow(self, place: str, names: Iterable[Dotted]) -> None:
        for path in names:
            self._todo += self._definitions(place, path)

    def _take(self, module: Module, name: str, statements: list[Statement]) -> None:
        """Count statements, and follow what they name."""
        text = "\n".join(statement.text for statement in statements)
        self.pieces[f"{module.name}.{name}".partition(".")[2]] = digest_of(text.encode())
        for statement in statements:
            self._follow(module.name, [path for path in [*statement.uses, ("*",)] if path[0] in module.bindings])
            for found in statement.imports:
                self._import(".".join((found.module, *found.path)))
                self._todo += [(found.module, ALL)] if found.module not in self._package.files else []
                uses = [path for path in statement.uses if path[0] == found.name]
                self._follow(found.module, [found.path + path[1:] for path in uses])
        # what names do not tell
        if NAMES_MADE_UP.search(text):
            self._todo.append((module.name, ALL))
        if LOOKS_AROUND.search(text):
            self._take_below(module.package)
        if "sys.modules" in text:
            self._take_below(self._package.name)
        if READS_FILES.search(text):
            self.pieces |= self._package.data_files(module)
        for call in IMPORTS_BY_NAME.finditer(text):
            # of a name that is put together at run time, the start says in which package all may be meant
            self._take_below(resolve_name(call[1] or self._package.name, module.package).rstrip("."))

    def _take_below(self, place: str) -> None:
        """All modules of a package, or of the nearest that there is."""
        while place not in self._package.files and "." in place:
            place = place.rpartition(".")[0]
        self._todo += [(place, ALL)]
        self._todo += [(name, ALL) for name in self._package.files if name.startswith(f"{place}.")]
