"""Which code of a package a function reaches, followed through the source: nothing is imported or run.

Reached is what a piece names: functions, classes and constants, through imports (lazy, relative and re-exporting ones),
decorators, defaults, bases and type hints; and what acts when the modules that hold them are imported. Where it cannot
be read which name is meant (``import_module(variable)``, ``getattr(module, name)``, ``eval``), whole modules count.
"""

import ast
import hashlib
from importlib.util import resolve_name

from .modules import Definition, Import, Module, Package, uses_of_names


class Reach:
    """Everything that some functions of a package reach.

    Args:
        starts: (module, name) of each; None for a name: the whole module.

    Attributes:
        pieces: name without the package -> digest of its syntax tree (or of a data file's bytes).
        libraries: top-level names of what is imported from elsewhere.
    """

    def __init__(self, package: Package, *starts: tuple[str, str | None]) -> None:
        self.pieces: dict[str, str] = {}
        self.libraries: set[str] = set()
        self._package = package
        self._seen: set[tuple[str, str | None]] = set()
        self._executed: set[str] = set()
        self._todo = list(starts)
        while self._todo:
            step = self._todo.pop()
            if step not in self._seen:
                self._seen.add(step)
                self._visit(*step)

    def _visit(self, module_name: str, name: str | None) -> None:
        module = self._package.module(module_name)
        self._execute(module_name)
        if name is None:
            for bound in module.bindings:
                self._use(module, bound, [()])
            self._take(module, "(all)", [s for s in module.tree.body if not isinstance(s, Import)])
        else:
            self._take(module, name, [s for s in module.bindings[name] if not isinstance(s, Import)])

    def _execute(self, module_name: str) -> None:
        """What importing a module does: its packages' and imports' statements that act count too."""
        if module_name in self._executed or self._package.file(module_name) is None:
            return
        self._executed.add(module_name)
        self._execute(module_name.rpartition(".")[0])
        module = self._package.module(module_name)
        for statement in module.imports:
            for source, attribute in self._targets(module, statement):
                self._execute_target(source, attribute)
        acting = [s for body in module.bindings.values() for s in body if self._registers(module, s)]
        self._take(module, "(import)", [*module.effects, *acting])

    def _execute_target(self, source: str, attribute: str | None) -> None:
        self._execute(source)
        self._execute(f"{source}.{attribute}")

    def _registers(self, module: Module, stmt: ast.stmt) -> bool:
        """Whether a definition enters itself somewhere: by a decorator of ours, or a base that notes its subclasses."""
        if not isinstance(stmt, Definition):
            return False
        marks = [*stmt.decorator_list]
        if any(isinstance(s, Definition) and s.name == "__init_subclass__" for s in stmt.body):
            return True
        if isinstance(stmt, ast.ClassDef):
            for base in stmt.bases:
                home = self._definition(module, base)
                if home and any(self._registers(home[0], s) for s in home[1]):
                    return True
            marks += [k.value for k in stmt.keywords if k.arg == "metaclass"]
        return any(self._definition(module, mark) for mark in marks)

    def _definition(self, module: Module, expression: ast.expr) -> tuple[Module, list[ast.stmt]] | None:
        """Module and statements that bind the root of an expression, if that is the package's own."""
        root: ast.AST = expression
        while isinstance(root, (ast.Call, ast.Attribute, ast.Subscript)):
            root = root.func if isinstance(root, ast.Call) else root.value
        statements = module.bindings.get(root.id, []) if isinstance(root, ast.Name) else []
        for stmt in statements:
            if isinstance(stmt, Import) and isinstance(root, ast.Name):
                for source, attribute in self._targets(module, stmt, root.id):
                    if attribute and self._package.file(source):
                        home = self._package.module(source)
                        return self._definition(home, ast.Name(attribute)) or (home, [])
                return None
        return (module, statements) if statements else None

    def _take(self, module: Module, label: str, statements: list[ast.stmt]) -> None:
        """Count statements, and follow what they name."""
        if not statements:
            return
        text = "\n".join(ast.dump(stmt) for stmt in statements)
        self.pieces[f"{module.name}.{label}".partition(".")[2]] = hashlib.sha256(text.encode()).hexdigest()[:16]
        for stmt in statements:
            chains = list(uses_of_names(stmt))
            for name in module.global_names(stmt):
                self._use(module, name, [attributes for root, attributes in chains if root == name] or [()])
            for node in ast.walk(stmt):
                if isinstance(node, Import):
                    self._use_local_import(module, node, chains)
                elif isinstance(node, ast.Call):
                    self._follow_dynamic(module, node)
            if any(root in ("__file__", "__package__", "resources", "pkgutil") for root, _ in chains):
                self.pieces |= self._package.data_files(module)
            if ("sys", ("modules",)) in [(root, attributes[:1]) for root, attributes in chains]:
                self._take_below(self._package.name)

    def _use_local_import(self, module: Module, node: Import, chains: list[tuple[str, tuple[str, ...]]]) -> None:
        for alias in node.names:
            name = alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
            uses = [attributes for root, attributes in chains if root == name]
            for source, attribute in self._targets(module, node, name):
                self._execute_target(source, attribute)
                self._use_target(source, attribute, uses)

    def _use(self, module: Module, name: str, uses: list[tuple[str, ...]]) -> None:
        """A name of a module is used, each time with these attributes after it."""
        for stmt in module.bindings.get(name, ()):
            if isinstance(stmt, Import):
                for source, attribute in self._targets(module, stmt, name):
                    self._use_target(source, attribute, uses)
            else:
                self._todo.append((module.name, name))
        if name not in module.bindings:
            for stmt in module.imports:
                if stmt.names[0].name == "*":
                    self._use_target(self._targets(module, stmt)[0][0], name, uses, certain=False)

    def _use_target(
        self, source: str, attribute: str | None, uses: list[tuple[str, ...]], certain: bool = True
    ) -> None:
        """``attribute`` of the module ``source``, or the module itself, is used with these attributes after it."""
        if self._package.file(source) is None:
            self.libraries.add(source.partition(".")[0])
            return
        for use in uses:
            place, rest = source, [attribute, *use] if attribute else [*use]
            while rest and rest[0] not in self._package.module(place).bindings:
                if self._package.file(f"{place}.{rest[0]}") is None:
                    break
                place = f"{place}.{rest.pop(0)}"
            bindings = self._package.module(place).bindings
            if rest and rest[0] in bindings:
                self._execute(place)
                self._use(self._package.module(place), rest[0], [tuple(rest[1:])])
            elif certain and not (rest and rest[0] == "*"):
                # a module handed around, or a name that it makes while it runs
                self._todo.append((place, None))

    def _targets(self, module: Module, node: Import, name: str | None = None) -> list[tuple[str, str | None]]:
        """(module, attribute) behind each name that an import binds, or behind the one name."""
        targets: list[tuple[str, str | None]] = []
        attribute: str | None
        for alias in node.names:
            if isinstance(node, ast.Import):
                bound = alias.asname or alias.name.partition(".")[0]
                source, attribute = alias.name if alias.asname or name is None else bound, None
            else:
                bound = alias.asname or alias.name
                source = resolve_name("." * node.level + (node.module or ""), module.package)
                attribute = alias.name
            if name in (None, bound):
                targets.append((source, attribute))
        return targets

    def _follow_dynamic(self, module: Module, call: ast.Call) -> None:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called in ("eval", "exec", "globals") and isinstance(call.func, ast.Name):
            self._todo.append((module.name, None))
        elif called in ("iter_modules", "walk_packages", "__subclasses__"):
            self._take_below(module.package)
        elif called in ("import_module", "__import__") and call.args:
            self._follow_import_by_name(module, call.args[0])

    def _follow_import_by_name(self, module: Module, argument: ast.expr) -> None:
        """Of a name that is put together at run time, the constant start says in which package all may be meant."""
        if isinstance(argument, ast.JoinedStr) and argument.values:
            argument = argument.values[0]
        while isinstance(argument, ast.BinOp):
            argument = argument.left
        start = argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""
        if start.startswith("."):
            start = resolve_name(start.rstrip(".") or ".", module.package) if start.strip(".") else module.package
        if not start or start.partition(".")[0] == self._package.name:
            place = start.rstrip(".") or self._package.name
            while self._package.file(place) is None:
                place = place.rpartition(".")[0]
            self._take_below(place)
        else:
            self.libraries.add(start.partition(".")[0])

    def _take_below(self, package: str) -> None:
        self._todo += [(name, None) for name in self._package.modules_below(package)]
