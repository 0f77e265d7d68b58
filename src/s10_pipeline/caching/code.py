"""Which code of a package a function reaches, followed through the source: nothing is imported or run.

Reached is what a piece names: functions, classes and constants, through imports (lazy, relative and re-exporting ones),
decorators, defaults, bases and type hints; and what acts when the modules that hold them are imported. Where it cannot
be read which name is meant (``getattr(module, name)``, ``import_module(variable)``, ``eval``), the module, the package
or all of the project counts.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name

from .contents import digest_of
from .source import Dotted, Module, Package, Statement

IMPORT = "(import)"  # a piece of a module beside its definitions: what acts when it is imported
ALL = ""  # no name: the whole module

IMPORTS_BY_NAME = re.compile(r"\b(?:import_module|__import__)\((?:f?['\"]([\w.]*))?")
LOOKS_AROUND = re.compile(
    r"(?<![\w.])(?:eval|exec|globals)\(|\b(?:iter_modules|walk_packages|__subclasses__)\(|\bsys\.modules\b"
)
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
        self._import(place, place.rpartition(".")[0])
        if name == IMPORT:
            statements = [s for s in module.statements if s.runs and self._acts(module, s)]
            for statement in module.statements:
                for found in statement.imports if statement.runs and not statement.is_definition else ():
                    self._import(found.module, found.origin)
        elif name in module.bindings:
            statements = module.bindings[name]
        else:
            # a lambda, a module handed around, a name that a module makes while it runs: all of it
            name, statements = "(all)", module.statements
            self._todo += self._definitions(module, [(bound,) for bound in module.bindings])
        if taken := [s for s in statements if not s.is_import]:
            self._take(module, name, taken)

    def _import(self, *places: str) -> None:
        """Importing a module runs its statements that act."""
        self._todo += [(place, IMPORT) for place in places if place in self._package.files]

    def _acts(self, module: Module, statement: Statement) -> bool:
        """Whether it does more than to bind names; a definition, by a decorator of ours or a base that notes it."""
        ours = self._package.files
        if statement.acts or any(place in ours for place, _ in self._definitions(module, statement.marks)):
            return True
        homes = [(self._package.module(place), name) for place, name in self._definitions(module, statement.bases)]
        bases = [(home, base) for home, name in homes for base in home.bindings.get(name, ())]
        return any(self._acts(home, base) for home, base in bases if base is not statement)

    def _definitions(self, module: Module, names: Iterable[Dotted]) -> Iterator[tuple[str, str]]:
        """(module, name) of what is meant by names in a module; what it does not bind is Python's own."""
        for path in names:
            if path[0] in module.bindings:
                yield from self._find(module.name, path)

    def _find(self, place: str, path: Dotted) -> Iterator[tuple[str, str]]:
        """(module, name) of what an attribute of a module, or of a part of it, is; of other libraries' the module."""
        while path and f"{place}.{path[0]}" in self._package.files:
            if path[0] in self._package.module(place).bindings:
                break
            place, path = f"{place}.{path[0]}", path[1:]
        statements = self._package.module(place).bindings.get(path[0], []) if path else []
        if not statements:
            yield place, ALL
        for statement in statements:
            for found in statement.imports:
                if found.name == path[0]:
                    yield from self._find(found.module, found.path + path[1:])
            if not statement.is_import:
                yield place, path[0]

    def _take(self, module: Module, name: str, statements: list[Statement]) -> None:
        """Count statements, and follow what they name."""
        text = "\n".join(statement.text for statement in statements)
        self.pieces[f"{module.name}.{name}".partition(".")[2]] = digest_of(text)[:16]
        for statement in statements:
            self._todo += self._definitions(module, [*statement.uses, ("*",)])
            for found in statement.imports:
                self._import(found.module, found.origin)
                if found.module not in self._package.files:
                    self._todo.append((found.module, ALL))
                for path in statement.uses:
                    if path[0] == found.name:
                        self._todo += self._find(found.module, found.path + path[1:])
        # what names do not tell
        if LOOKS_AROUND.search(text):
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
