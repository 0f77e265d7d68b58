"""Parse the source of a package into top-level statements, without importing it."""

import ast
import symtable
from collections.abc import Container, Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from .digests import digest_of

# Key under which ``Package.bindings`` returns all statements of a module; the other keys are names in the module.
ALL = ""

# A dotted name in Python code, split at its dots: ``a.b.c`` is ("a", "b", "c").
Dotted = tuple[str, ...]

# Fields of syntax-tree nodes that hold type hints.
HINTS = ("annotation", "returns")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Import(NamedTuple):
    """One name that an import statement binds: ``name`` stands for attribute ``path`` of ``module``.

    The import loads ``module``, and also ``last``, the full dotted name, if that is a module too.
    """

    name: str
    module: str
    path: Dotted
    last: str


class Statement:
    """A top-level statement in the source of a module, with the names that it binds and uses.

    Attributes:
        text: normalised source, without comments and formatting; empty for an import statement.
        imports: all imports in the statement, including those inside functions.
        loads: modules and libraries that these imports load (may include names that are not modules).
        runs: whether the statement is executed when its module is imported; false for definitions and for statements
            under ``TYPE_CHECKING``.
        binds: names that it binds or changes in place (``TABLE["x"] = f`` changes ``TABLE``).
        uses: names from the module or from its own imports, each with the attributes that follow.
        computes: the part of ``uses`` that can take part in a result, without type hints and raised exceptions.
        acts: whether executing it may do more than bind names. (An assertion does not count; it can only stop a run.)
        marks: names in a definition's decorators and metaclass.
    """

    def __init__(self, node: ast.stmt, package: str, runs: bool) -> None:
        source, inside = ast.unparse(node), list(ast.walk(node))
        self.text = "" if isinstance(node, ast.Import | ast.ImportFrom) else source
        self.imports = [found for inner in inside for found in _imports(inner, package)]
        self.loads = {place for found in self.imports for place in (found.module, found.last)}
        self.runs = runs and not isinstance(node, Definition)
        table = symtable.symtable(source, "source", "exec")
        known = _names_from_elsewhere(table)
        self.uses = {path for path in _dotted_names(node) if path[0] in known}
        idle = {id(getattr(inner, field, None)) for inner in inside for field in HINTS}
        idle |= {id(inner) for inner in inside if isinstance(inner, ast.Raise)}
        self.computes = self.uses.intersection(_dotted_names(node, without=idle))
        self.binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        self.binds |= {found.name for found in self.imports if found.name == "*"}
        self.marks = {*_dotted_names(*getattr(node, "decorator_list", ()), *getattr(node, "keywords", ()))}
        self.acts = False
        if not isinstance(node, Definition):
            places = [inner for inner in inside if isinstance(inner, ast.Attribute | ast.Subscript)]
            changed = {path[0] for path in _dotted_names(*(p for p in places if not isinstance(p.ctx, ast.Load)))}
            self.binds |= changed
            # An assignment to ``_``, as in ``_ = register(f)``, counts as a side effect.
            self.acts = bool(changed) or "_" in self.binds or any(isinstance(inner, ast.Expr) for inner in inside)


class Package:
    """Source code of one importable Python package, parsed into statements when a module is first asked for.

    Args:
        name: name of the package.
        folder: folder of its ``__init__.py``.

    Attributes:
        files: module -> its source file.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.py"), reverse=True):  # A package wins over a module of the same name.
            parts = path.relative_to(folder).with_suffix("").parts
            self.files[".".join((name, *(part for part in parts if part != "__init__")))] = path
        self._bindings: dict[str, dict[str, list[Statement]]] = {}

    def parent(self, module: str) -> str:
        """Return the package that a module's relative imports refer to."""
        return module if self.files[module].name == "__init__.py" else module.rpartition(".")[0]

    def bindings(self, module: str) -> dict[str, list[Statement]]:
        """Return, for each name of a module, the statements that bind or change it; for the key ALL, all statements.

        A block such as ``try`` or ``for`` counts as one statement.
        """
        if module not in self.files:
            return {ALL: []}  # Other packages are not analysed.
        if module not in self._bindings:
            found = self._bindings[module] = {ALL: []}
            for node, runs in _statements(self.files[module].read_text(encoding="utf-8")):
                statement = Statement(node, self.parent(module), runs)
                # Leave out the name ``part`` of ``from . import part`` in a package's __init__.py, because the analysis
                # finds the submodule ``part`` by its file.
                parts = [i.name for i in statement.imports if i.last == f"{module}.{i.name}"]
                for name in {ALL, *statement.binds}.difference(parts):
                    found.setdefault(name, []).append(statement)
        return self._bindings[module]

    def data_files(self, module: str) -> dict[str, str]:
        """Return the digests of data files, such as templates, in a module's folder and below: path -> digest."""
        files = [p.relative_to(self.folder) for p in sorted(self.files[module].parent.rglob("*")) if p.is_file()]
        data = [p for p in files if not p.suffix.startswith(".py") and not any(x.startswith(".") for x in p.parts)]
        return {p.as_posix(): digest_of((self.folder / p).read_text(encoding="latin-1"))[:16] for p in data}


def _statements(source: str) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield each top-level statement of a module, without docstrings, and whether importing the module runs it."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        # A file with a syntax error may never be imported, so raise no error: treat its text as one constant.
        tree = ast.parse(f"_ = {source!r}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition):
            code = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = code or [ast.Pass()]
    for stmt in tree.body:
        if isinstance(stmt, ast.If) and "TYPE_CHECKING" in ast.unparse(stmt.test):
            yield from ((inner, False) for inner in stmt.body)
            yield from ((inner, True) for inner in stmt.orelse)
        else:
            yield stmt, True


def _source_of(node: ast.ImportFrom, package: str) -> str:
    return resolve_name("." * node.level + (node.module or ""), package)


def _imports(node: ast.AST, package: str) -> Iterator[Import]:
    for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
        if isinstance(node, ast.ImportFrom):
            module = _source_of(node, package)
            yield Import(alias.asname or alias.name, module, (alias.name,), f"{module}.{alias.name}")
        else:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            yield Import(alias.asname or module, module, (), alias.name)


def _names_from_elsewhere(table: symtable.SymbolTable) -> set[str]:
    """Return the names that a statement uses from its module or from imports, but not its local variables."""
    found = [symbol for symbol in table.get_symbols() if symbol.is_global() or symbol.is_imported()]
    names = {symbol.get_name() for symbol in found if symbol.is_referenced() or table.get_type() == "function"}
    return names.union(*(_names_from_elsewhere(child) for child in table.get_children()))


def _dotted_names(*nodes: ast.AST, without: Container[int] = ()) -> Iterator[Dotted]:
    """Yield the dotted names that occur in syntax trees, as tuples: ``a.b.c(x)`` contains (a, b, c) and (x,).

    Args:
        without: ids of nodes to skip, with everything inside them.
    """
    for node in (node for node in nodes if id(node) not in without):
        text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if text.replace(".", "").isidentifier():
            yield tuple(text.split("."))
        else:
            yield from _dotted_names(*ast.iter_child_nodes(node), without=without)
