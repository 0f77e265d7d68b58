"""What the source of a package says, statement by statement, without importing it."""

import ast
import symtable
from collections.abc import Container, Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from .digests import digest_of

ALL = ""  # no name: the whole module
Dotted = tuple[str, ...]  # ``a.b.c`` as (a, b, c)
HINTS = ("annotation", "returns")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Import(NamedTuple):
    """An import binds ``name`` to ``path`` as seen from ``module``; loaded is the module, and ``last`` if it is one."""

    name: str
    module: str
    path: Dotted
    last: str


class Statement:
    """A top-level statement of a module.

    Attributes:
        text: its source as Python writes it, so without comments and formatting; of an import statement nothing.
        imports: in it, inside functions too.
        loads: modules that they load, libraries too (names of what is no module do no harm).
        runs: whether it runs, and so loads them, when its module is imported: no definition, nor for type checkers.
        binds: names that it binds or changes in place (``TABLE["x"] = f`` changes ``TABLE``).
        uses: names of the module and of its own imports in it, each with the attributes that follow.
        computes: those of them that can take part in a result: not in type hints alone, nor in what is raised.
        acts: whether running it may do more than to bind names. (An assertion can only stop a run.)
        marks: names in a definition's decorators and metaclass.
        bases: names in a class's bases.
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
        self.marks = {*_dotted_names(*getattr(node, "decorator_list", ()), *getattr(node, "keywords", ()))}
        self.bases = {*_dotted_names(*getattr(node, "bases", ()))}
        self.acts = "__init_subclass__" in source
        if not isinstance(node, Definition):
            places = [inner for inner in inside if isinstance(inner, ast.Attribute | ast.Subscript)]
            changed = {path[0] for path in _dotted_names(*(p for p in places if not isinstance(p.ctx, ast.Load)))}
            self.binds |= changed
            # ``_ = register(f)`` is there for what it does
            self.acts = bool(changed) or "_" in self.binds or any(isinstance(inner, ast.Expr) for inner in inside)


class Package:
    """The source of one importable package, whose ``__init__.py`` lies in the folder.

    Attributes:
        files: module -> its source file.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.py"), reverse=True):  # a folder hides a file of its name
            parts = path.relative_to(folder).with_suffix("").parts
            self.files[".".join((name, *(part for part in parts if part != "__init__")))] = path
        self._bindings: dict[str, dict[str, list[Statement]]] = {}

    def parent(self, module: str) -> str:
        """The package to which a module's relative imports refer."""
        return module if self.files[module].name == "__init__.py" else module.rpartition(".")[0]

    def bindings(self, module: str) -> dict[str, list[Statement]]:
        """Name -> the statements that bind or change it; a block (``try``, ``for``) binds as a whole; ALL -> all."""
        if module not in self.files:
            return {ALL: []}  # of another package nothing is known
        if module not in self._bindings:
            found = self._bindings[module] = {ALL: []}
            for node, runs in _statements(self.files[module].read_text(encoding="utf-8")):
                if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                    names = self.bindings(_source_of(node, self.parent(module))).keys() - {ALL}
                    node.names = [ast.alias(name) for name in names] or node.names
                statement = Statement(node, self.parent(module), runs)
                # of ``from . import part`` in a package the submodule is found without it
                parts = [i.name for i in statement.imports if i.last == f"{module}.{i.name}"]
                for name in {ALL, *statement.binds}.difference(parts):
                    found.setdefault(name, []).append(statement)
        return self._bindings[module]

    def data_files(self, module: str) -> dict[str, str]:
        """Name -> digest of the files that are no code, in a module's folder and below: templates, styles, scripts."""
        files = [p.relative_to(self.folder) for p in sorted(self.files[module].parent.rglob("*")) if p.is_file()]
        data = [p for p in files if not p.suffix.startswith(".py") and not any(x.startswith(".") for x in p.parts)]
        return {p.as_posix(): digest_of((self.folder / p).read_text(encoding="latin-1"))[:16] for p in data}


class _Unquoted(ast.NodeTransformer):
    """Type hints in quotes as expressions; what is none (``Literal["some text"]``) stays."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        try:
            return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node
        except SyntaxError:
            return node


def _statements(source: str) -> Iterator[tuple[ast.stmt, bool]]:
    """Top-level statements without docstrings and quotes around hints; each with whether it is run."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # broken, but perhaps never imported: it counts by its text
        tree = ast.parse(f"_ = {source!r}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition):
            code = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = code or [ast.Pass()]
        for field in HINTS:
            if isinstance(hint := getattr(node, field, None), ast.expr):
                setattr(node, field, _Unquoted().visit(hint))
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
    """Names that refer to the module or that are imported: no local variables, nor what is only bound."""
    found = [symbol for symbol in table.get_symbols() if symbol.is_global() or symbol.is_imported()]
    names = {symbol.get_name() for symbol in found if symbol.is_referenced() or table.get_type() == "function"}
    return names.union(*(_names_from_elsewhere(child) for child in table.get_children()))


def _dotted_names(*nodes: ast.AST, without: Container[int] = ()) -> Iterator[Dotted]:
    """Yield each name with the attributes that follow it: ``a.b.c(x)`` gives (a, b, c) and (x,).

    Args:
        without: identities of nodes that are passed over with all that is in them.
    """
    for node in (node for node in nodes if id(node) not in without):
        text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if text.replace(".", "").isidentifier():
            yield tuple(text.split("."))
        else:
            yield from _dotted_names(*ast.iter_child_nodes(node), without=without)
