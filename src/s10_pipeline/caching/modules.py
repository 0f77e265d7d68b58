"""What the source of a package's modules binds and does, without importing it."""

import ast
import hashlib
import os
import symtable
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

Import = ast.Import | ast.ImportFrom
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Module:
    """One source file, taken apart into its top-level statements.

    Attributes:
        bindings: name -> the statements that bind it; a block (``try``, ``if``) binds as a whole.
        effects: statements that act when the module is imported and bind nothing that code could name.
        imports: imports that run when the module is imported (not those for type checkers alone).
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.bindings: dict[str, list[ast.stmt]] = {}
        self.effects: list[ast.stmt] = []
        self.imports: list[Import] = []
        self._source = path.read_text(encoding="utf-8")
        try:
            self.tree = without_docstrings(ast.parse(self._source))
        except SyntaxError:  # broken, but perhaps never imported: it counts by its text
            self._source = f"_ = {self._source!r}"
            self.tree = ast.parse(self._source)
        self._sort(self.tree.body, runs=True)

    def _sort(self, body: list[ast.stmt], runs: bool) -> None:
        for stmt in body:
            if isinstance(stmt, ast.If) and "TYPE_CHECKING" in ast.unparse(stmt.test):
                self._sort(stmt.body, runs=False)
                self._sort(stmt.orelse, runs)
                continue
            if runs:
                self.imports += [node for node in _outside_functions(stmt) if isinstance(node, Import)]
            names = bound_names(stmt)
            imported = {name for name in names if any(isinstance(s, Import) for s in self.bindings.get(name, ()))}
            for name in names:
                self.bindings.setdefault(name, []).append(stmt)
            # an assertion can only stop a run; `os.environ[...] = ...` and `_ = register(f)` act without a name
            acts = any(isinstance(node, ast.Expr) for node in _outside_functions(stmt)) or "_" in names
            changes = isinstance(stmt, ast.Assign) and not all(isinstance(t, ast.Name) for t in stmt.targets)
            if runs and (acts or (changes and imported)):
                self.effects.append(stmt)

    @cached_property
    def _tables(self) -> list[symtable.SymbolTable]:
        return symtable.symtable(self._source, str(self.path), "exec").get_children()

    def global_names(self, stmt: ast.stmt) -> set[str]:
        """Module-level names that a top-level statement refers to; those of local variables are not among them."""
        first = min([stmt.lineno, *(d.lineno for d in getattr(stmt, "decorator_list", ()))])
        names: set[str] = set()
        for table in self._tables:
            if first <= table.get_lineno() <= (stmt.end_lineno or first):
                names |= _globals_of(table)
        heads: list[ast.AST] = [stmt]
        if isinstance(stmt, Definition):
            heads = [*stmt.decorator_list]
            if isinstance(stmt, ast.ClassDef):
                heads += [*stmt.bases, *stmt.keywords]
            else:
                heads += [*stmt.args.defaults, *(d for d in stmt.args.kw_defaults if d)]
        for head in heads:
            names |= {n.id for n in ast.walk(head) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        return names | _annotation_names(stmt)


class Package:
    """The source of one importable package.

    Args:
        name: as imported.
        folder: where its ``__init__.py`` lies.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.module = cache(self._module)

    def file(self, module: str) -> Path | None:
        """Source file of a module of this package; None where there is no such module."""
        if module != self.name and not module.startswith(self.name + "."):
            return None
        path = self.folder.joinpath(*module.split(".")[1:])
        return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)

    def _module(self, name: str) -> Module:
        path = self.file(name)
        assert path is not None
        return Module(name, path)

    def modules_below(self, package: str) -> Iterator[str]:
        """Names of all modules in a package of it, itself included."""
        file = self.file(package)
        files = [] if file is None else [file] if file.name != "__init__.py" else sorted(file.parent.rglob("*.py"))
        for path in files:
            parts = path.relative_to(self.folder).with_suffix("").parts
            yield ".".join((self.name, *(p for p in parts if p != "__init__")))

    def stats(self) -> list[tuple[str, os.stat_result]]:
        """Size and times of each of its files, sources and others."""
        walked = [(f, n) for f, _, names in os.walk(self.folder) if not f.endswith("__pycache__") for n in names]
        return [(path, os.lstat(path)) for path in sorted(os.path.join(*item) for item in walked)]

    def data_files(self, module: Module) -> dict[str, str]:
        """Name -> digest of the files beside a module that asks where its package lies: templates, styles, scripts."""
        digests = {}
        home = module.path.parent
        for path in sorted(p for p in home.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".pyi")):
            inner = path.relative_to(home)
            packaged = any((home / folder / "__init__.py").exists() for folder in list(inner.parents)[:-1])
            if not packaged and not any(part.startswith(".") for part in inner.parts):
                name = path.relative_to(self.folder).as_posix()
                digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return digests


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree less strings that stand alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return tree


def bound_names(stmt: ast.stmt) -> set[str]:
    """Names that a top-level statement binds or changes in place (``TABLE["x"] = f`` changes ``TABLE``)."""
    names: set[str] = set()
    for node in _outside_functions(stmt):
        if isinstance(node, Definition):
            names.add(node.name)
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            root: ast.AST = node
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            names |= {root.id} if isinstance(root, ast.Name) else set()
    return names


def _outside_functions(stmt: ast.stmt) -> list[ast.AST]:
    """The nodes of a statement that act when it runs, without the inside of functions and classes."""
    found: list[ast.AST] = [stmt]
    if not isinstance(stmt, Definition):
        for child in ast.iter_child_nodes(stmt):
            found += _outside_functions(child) if isinstance(child, ast.stmt) else list(ast.walk(child))
    return found


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*(_globals_of(child) for child in table.get_children()))


def _annotation_names(stmt: ast.stmt) -> set[str]:
    """Names in type hints, those in quotes too: hints name the classes of the objects that a function is handed."""
    hints: list[ast.AST] = []
    for node in ast.walk(stmt):
        hints += [h for h in (getattr(node, "annotation", None), getattr(node, "returns", None)) if h]
    names = set()
    for hint in hints:
        for node in ast.walk(hint):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                try:
                    names |= {n.id for n in ast.walk(ast.parse(node.value, mode="eval")) if isinstance(n, ast.Name)}
                except SyntaxError:
                    continue  # Literal["some text"]
    return names


def uses_of_names(stmt: ast.stmt) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each use of a name, with the attributes that follow it: ``a.b.c(x)`` gives (a, (b, c)) and (x, ())."""
    todo: list[ast.AST] = [stmt]
    while todo:
        node = todo.pop()
        attributes: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            attributes.insert(0, root.attr)
            root = root.value
        if isinstance(root, ast.Name):
            yield root.id, tuple(attributes)
        else:
            todo.extend(ast.iter_child_nodes(root))
