"""Modules as files: where they are, what they import, what their code says. Nothing is imported.

A Python file's digest is that of its syntax tree without docstrings, so comments, docstrings and layout
change nothing; any other file's is that of its bytes.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

CODE = (".py", ".pyi", ".pyc", ".so", ".pyd")
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
Asked = tuple[str, str | None]
"""A module, and the name that is asked of it; None asks for all of it."""


@dataclass(frozen=True)
class Source:
    """A module that was found. `path` is its file, a namespace package's its folder; `tree` is None where
    it is not Python."""

    name: str
    path: Path
    tree: ast.Module | None

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py" or self.path.is_dir()

    @property
    def folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def digest(self) -> str:
        """16 hex digits over what the module says, or over its bytes where it is not Python."""
        if self.tree is None:
            return digest_of_bytes(self.path)
        return _short(ast.dump(self.tree).encode("utf-8", "surrogatepass"))

    @cached_property
    def asked(self) -> list[Asked]:
        """Everything that the module imports."""
        return list(imports(self, self.tree)) if self.tree is not None else []

    def shown(self, path: Path | None = None) -> str:
        """A file's path from the folder that the top-level package stands in."""
        root = self.folder
        for _ in range(self.name.count(".") + self.is_package):
            root = root.parent
        return (path or self.path).relative_to(root).as_posix()


class Sources:
    """Finds modules and keeps what was read: as files are now, so for one planning only."""

    def __init__(self) -> None:
        self._found: dict[str, Source | None] = {}

    def find(self, name: str) -> Source | None:
        """The module `name`, or None where there is none, or none that has a file."""
        if name not in self._found:
            path = self._path(name)
            self._found[name] = None if path is None else _source(name, path)
        return self._found[name]

    def _path(self, name: str) -> Path | None:
        package, _, last = name.rpartition(".")
        if not package:
            return _top(last)
        around = self.find(package)
        return _inside(around.folder, last) if around is not None and around.is_package else None


def _source(name: str, path: Path) -> Source:
    state = path.stat()
    return _read(name, path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=2048)
def _read(name: str, path: Path, size: int, changed: int) -> Source:
    """A module as it is on disk; `size` and `changed` let one that stayed so be read once a process."""
    return Source(name, path, _parse(path.read_bytes()) if path.suffix == ".py" else None)


def _top(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return Path(place) if place is not None and Path(place).exists() else None


def _inside(folder: Path, name: str) -> Path | None:
    for path in (folder / name / "__init__.py", folder / f"{name}.py"):
        if path.is_file():
            return path
    compiled = sorted(p for p in folder.glob(f"{name}.*") if p.suffix in (".so", ".pyd"))
    if compiled:
        return compiled[0]
    has_code = (folder / name).is_dir() and any((folder / name).glob("*.py"))
    return folder / name if has_code else None


def _parse(text: bytes) -> ast.Module:
    """The tree without docstrings, unless the code reads them."""
    tree = ast.parse(text)
    if b"__doc__" not in text:
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                body[:] = [n for n in body if not _is_text(n)] or [ast.Pass()]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def imports(source: Source, tree: ast.Module) -> Iterator[Asked]:
    """Every import of a module's tree."""
    for node in _outside_type_checking(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(source, node)
            if module != "__future__":
                yield from ((module, None if alias.name == "*" else alias.name) for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from _imported_by_call(node)


def _imported_by_call(node: ast.Call) -> Iterator[Asked]:
    """`importlib.import_module("name")`; a name that is put together at run time cannot be known."""
    called = getattr(node.func, "attr", getattr(node.func, "id", None))
    argument = node.args[0] if called in ("import_module", "__import__") and node.args else None
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value, None


def _outside_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node below `tree` but those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if _is_for_type_checkers(node):
            assert isinstance(node, ast.If)
            yield from _outside_type_checking(ast.Module(node.orelse, []))
        else:
            yield node
            yield from _outside_type_checking(node)


def _is_for_type_checkers(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    return getattr(node.test, "attr", getattr(node.test, "id", None)) == "TYPE_CHECKING"


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    """The module of a `from` import, a relative one resolved."""
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    base = parts[: len(parts) - node.level + source.is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def passed_on(source: Source | None, name: str) -> tuple[str, str] | None:
    """Where a package's `name` comes from, if the package only imports it."""
    if source is None or not source.is_package or source.tree is None:
        return None
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _absolute(source, node), alias.name
    return None


def has_effects(source: Source) -> bool:
    """Whether importing a package does anything beyond importing, defining and naming."""
    body = source.tree.body if source.tree is not None else []
    return any(not isinstance(node, DEFINITIONS) and not _only_names(node) for node in body)


def _only_names(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) for target in node.targets)
    return isinstance(node, ast.AnnAssign) or _is_for_type_checkers(node)


def data_files(source: Source) -> list[Path]:
    """What lies in a package's folder and is no code; folders of other packages are left out."""
    return sorted(_data_below(source.folder))


def _data_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_file() and path.suffix not in CODE:
            yield path
        elif path.is_dir() and not any(path.glob("*.py")):
            yield from _data_below(path)


def digest_of_bytes(path: Path) -> str:
    """16 hex digits of a file beside the code."""
    return _short(path.read_bytes())


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
