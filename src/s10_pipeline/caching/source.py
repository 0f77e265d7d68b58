"""What the source of a package says, statement by statement, without importing it."""

import ast
import symtable
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from .contents import digest_of

Dotted = tuple[str, ...]  # ``a.b.c`` as (a, b, c)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Import(NamedTuple):
    """An import binds ``name`` to ``path`` as seen from ``module``; what is imported without a name has name ""."""

    name: str
    module: str
    path: Dotted

    @property
    def origin(self) -> str:
        return ".".join((self.module, *self.path))


class Statement:
    """A top-level statement of a module.

    Attributes:
        text: its source as Python writes it, so without comments and formatting.
        runs: whether it is run (and not for type checkers alone).
        imports: in it, inside functions too.
        binds: names that it binds or changes in place (``TABLE["x"] = f`` changes ``TABLE``).
        uses: names of the module and of its own imports in it, each with the attributes that follow.
        acts: whether running it may do more than to bind names. (An assertion can only stop a run.)
        marks: names in a definition's decorators and metaclass.
        bases: names in a class's bases.
    """

    def __init__(self, node: ast.stmt, package: str, runs: bool) -> None:
        self.text, self.runs = ast.unparse(node), runs
        self.is_import = isinstance(node, ast.Import | ast.ImportFrom)
        self.is_definition = isinstance(node, Definition)
        inside = list(ast.walk(node))
        self.imports = [found for inner in inside for found in _imports(inner, package)]
        table = symtable.symtable(self.text, "source", "exec")
        known = _global_names(table).union(found.name for found in self.imports)
        self.uses = {path for path in _dotted_names(node) if path[0] in known}
        marks = [*getattr(node, "decorator_list", ()), *getattr(node, "keywords", ())]
        self.marks = {path for mark in marks for path in _dotted_names(mark)}
        self.bases = {path for base in getattr(node, "bases", ()) for path in _dotted_names(base)}
        self.binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        self.acts = "__init_subclass__" in self.text
        if not self.is_definition:
            changed = [
                n for n in inside if isinstance(n, ast.Attribute | ast.Subscript) and not isinstance(n.ctx, ast.Load)
            ]
            self.binds.update(path[0] for target in changed for path in _dotted_names(target))
            # ``_ = register(f)`` is there for what it does
            self.acts = bool(changed) or "_" in self.binds or any(isinstance(n, ast.Expr) for n in inside)


class Module(NamedTuple):
    """One source file.

    Attributes:
        package: to which its relative imports refer.
        bindings: name -> the statements that bind or change it; a block (``try``, ``for``) binds as a whole.
    """

    name: str
    path: Path
    package: str
    statements: list[Statement]
    bindings: dict[str, list[Statement]]


class Package:
    """The source of one importable package.

    Args:
        name: as imported.
        folder: where its ``__init__.py`` lies.

    Attributes:
        files: module -> its source file.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.py"), reverse=True):  # a folder hides a file of its name
            parts = path.relative_to(folder).with_suffix("").parts
            self.files[".".join((name, *(part for part in parts if part != "__init__")))] = path
        self._modules: dict[str, Module] = {}

    def module(self, name: str) -> Module:
        if name not in self._modules:
            path = self.files.get(name, Path())  # of another package nothing is known
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            module = self._modules[name] = Module(name, path, package, [], {})
            for node, runs in _statements(path.read_text(encoding="utf-8") if path.suffix else ""):
                if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                    names = self.module(_source_of(node, package)).bindings
                    node.names = [ast.alias(name) for name in names] or node.names
                statement = Statement(node, package, runs)
                module.statements.append(statement)
                # of ``from . import part`` in a package the submodule is found without it
                parts = [i.name for i in statement.imports if i.module == name and f"{name}.{i.name}" in self.files]
                for bound in statement.binds.difference(parts):
                    module.bindings.setdefault(bound, []).append(statement)
        return self._modules[name]

    def data_files(self, module: Module) -> dict[str, str]:
        """Name -> digest of the files that are no code, in a module's folder and below: templates, styles, scripts."""
        files = [p.relative_to(self.folder) for p in sorted(module.path.parent.rglob("*")) if p.is_file()]
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
        for field in ("annotation", "returns"):
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
            yield Import(alias.asname or alias.name, _source_of(node, package), (alias.name,))
        else:
            yield Import(alias.asname or "", alias.name, ())
            if not alias.asname:
                yield Import(alias.name.partition(".")[0], alias.name.partition(".")[0], ())


def _global_names(table: symtable.SymbolTable) -> set[str]:
    """Names that refer to the module: those of local variables are not among them, nor what is only bound."""
    found = [symbol for symbol in table.get_symbols() if symbol.is_global()]
    names = {symbol.get_name() for symbol in found if symbol.is_referenced() or table.get_type() == "function"}
    return names.union(*(_global_names(child) for child in table.get_children()))


def _dotted_names(node: ast.AST) -> Iterator[Dotted]:
    """Each name with the attributes that follow it: ``a.b.c(x)`` gives (a, b, c) and (x,)."""
    text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    if text.replace(".", "").isidentifier():
        yield tuple(text.split("."))
    else:
        for child in ast.iter_child_nodes(node):
            yield from _dotted_names(child)
