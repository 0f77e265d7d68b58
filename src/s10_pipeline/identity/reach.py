"""Find the code of a package that a function can reach, by analysing the source without importing or running it.

Code reaches the functions, classes and constants that it names: through imports (lazy, relative and re-exporting
ones), decorators, defaults, base classes and type hints. Code also reaches the statements with side effects of the
modules that it imports. If a name cannot be determined from the source (``getattr(module, name)``,
``import_module(variable)``, ``eval``), the whole module, package or project counts as reached.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name

from .affects import affects
from .digests import digest_of
from .source import ALL, Dotted, Package, Statement

# A module's statements with side effects, which run when the module is imported, count together as one definition with
# this name.
IMPORT = "(import)"

IMPORTS_BY_NAME = re.compile(r"\b(?:import_module|__import__)\((?:f?['\"]([\w.]*))?")
LOOKS_AROUND = re.compile(
    r"(?<![\w.])(?:eval|exec|globals)\(|\b(?:iter_modules|walk_packages|__subclasses__)\(|\bsys\.modules\b"
)
READS_FILES = re.compile(r"\b(?:__file__|__package__|resources|pkgutil)\b")


class Reach:
    """Collects the code of a package that the given functions can reach, directly or through other code.

    Args:
        starts: the functions or classes to start from, each as (module, name).
        computing: follow only code that can take part in computing a result: no type hints, and no exceptions that
            are raised.

    Attributes:
        pieces: name of a function, class, constant or data file, without the package -> digest of its text.
        libraries: top-level names of imported libraries.
    """

    def __init__(self, package: Package, *starts: tuple[str, str], computing: bool = False) -> None:
        self.pieces: dict[str, str] = {}
        self.libraries: set[str] = set()
        self._package, self._computing = package, computing
        self._todo = list(starts)
        seen: set[tuple[str, str]] = set()
        while self._todo:
            step = self._todo.pop()
            if step not in seen:
                seen.add(step)
                self._visit(*step)

    def _visit(self, place: str, name: str) -> None:
        # Do not analyse affects(), because it only annotates parameters and computes no result.
        if place == affects.__module__:
            return
        if place not in self._package.files:
            self.libraries |= {place.partition(".")[0]} - {self._package.name}
            return
        bindings = self._package.bindings(place)
        self._load(place, place.rpartition(".")[0])
        statements = bindings.get(name, [])
        if name == IMPORT:
            statements = [statement for statement in bindings[ALL] if self._acts(place, statement)]
            self._load(*(loaded for statement in bindings[ALL] if statement.runs for loaded in statement.loads))
        elif name == ALL or not statements:
            # Include all code of the module if no statement binds the name: a lambda, a module used as a value, or a
            # name that is created at run time.
            name, statements = "(all)", bindings[ALL]
            self._todo += self._definitions(place, {(bound,) for bound in bindings if bound})
        if taken := [statement for statement in statements if statement.text]:
            self._take(place, name, taken)

    def _load(self, *modules: str) -> None:
        """Queue for the search what importing these modules runs: their statements with side effects."""
        self._todo += [(module, IMPORT) for module in modules if module in self._package.files]

    def _acts(self, place: str, statement: Statement) -> bool:
        """Return whether a statement has side effects, such as a call, or a decorator or metaclass of this package."""
        return statement.acts or any(
            mark in self._package.files for mark, _ in self._definitions(place, statement.marks)
        )

    def _definitions(self, place: str, names: Iterable[Dotted]) -> Iterator[tuple[str, str]]:
        """Yield the definitions of names used in a module, as (module, name) pairs; skip Python's built-in names."""
        for path in names:
            if path[0] in self._package.bindings(place):
                yield from self._find(place, path)

    def _find(self, place: str, path: Dotted) -> Iterator[tuple[str, str]]:
        """Yield where a dotted name that a module uses is defined, as (module, name) pairs; imports are followed.

        A name that is bound several times has several definitions. For a library or a whole module, the name is
        :data:`ALL`.
        """
        statements = self._package.bindings(place).get(path[0], []) if path else []
        if path and not statements and (part := f"{place}.{path[0]}") in self._package.files:
            yield from self._find(part, path[1:])
        elif not statements:
            yield place, ALL
        for statement in statements:
            yield from self._imported(statement, path)
            if statement.text:
                yield place, path[0]

    def _imported(self, statement: Statement, path: Dotted) -> Iterator[tuple[str, str]]:
        """Yield the definition of a name that a statement imports inside itself, as a function can: (module, name)."""
        for found in statement.imports:
            if found.name == path[0]:
                yield from self._find(found.module, found.path + path[1:])

    def _take(self, place: str, name: str, statements: list[Statement]) -> None:
        """Count a definition as reached: store the digest of its source, and queue the definitions that it uses."""
        text = "\n".join(statement.text for statement in statements)
        self.pieces[f"{place}.{name}".partition(".")[2]] = digest_of(text)[:16]
        for statement in statements:
            self._todo += [(loaded, IMPORT if loaded in self._package.files else ALL) for loaded in statement.loads]
            uses = statement.computes if self._computing else statement.uses
            # Any name may come from ``from module import *``, so include the whole module if there is such an import.
            self._todo += self._definitions(place, uses | {("*",)})
            self._todo += [found for path in uses for found in self._imported(statement, path)]
        # Add the dependencies that no name in the code shows: data files and dynamic imports.
        if READS_FILES.search(text):
            self.pieces |= self._package.data_files(place)
        base, tops = self._package.parent(place), [self._package.name] if LOOKS_AROUND.search(text) else []
        tops += [resolve_name(call[1] or self._package.name, base) for call in IMPORTS_BY_NAME.finditer(text)]
        for top in tops:
            # If the end of a module's name is composed at run time (``f"plugins.{name}"``), include the whole package
            # that the constant beginning names (``plugins``).
            while top not in self._package.files and "." in top:
                top = top.rpartition(".")[0]
            self._todo += [(p, ALL) for p in (top, *self._package.files) if f"{p}.".startswith(f"{top}.")]
