"""The source of classes: the modules that they are computed by, and digests that change with them."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import linecache
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_ABOVE_MODELS = frozenset({"cli", "probes", "reports", "runs", "testing"})
"""Parts of the package that no model is computed by."""


def source_digest(defined: type[Any]) -> str:
    """SHA-256 of the file, or of the notebook cell, that defines a class; empty if its source is not known."""
    file = _source_file(defined)
    try:
        source = _cell(defined).encode() if file is None else file.read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(source).hexdigest() if source else ""


def local_digest(defined: type[Any]) -> str:
    """SHA-256 over a class's file and the modules of the same folder that it imports; empty if its source is not known.

    For a file that imports none, it is the SHA-256 of the file.
    """
    file = _source_file(defined)
    if file is None:
        return source_digest(defined)
    modules = modules_behind(file.resolve(), {"": file.resolve().parent})
    return source_digest(defined) if len(modules) == 1 else digest_of(modules)


def digest_of(modules: Mapping[str, Path]) -> str:
    """SHA-256 over the names and contents of modules."""
    sha = hashlib.sha256()
    for name, path in sorted(modules.items()):
        sha.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


@functools.cache
def code_digest(defined: type[Any], *parts: type[Any]) -> str:
    """SHA-256 over the source of all modules that a class is computed by; empty if its source is not known.

    Args:
        defined: the class.
        *parts: classes that it uses without importing them, such as the members of a stack.

    These are the module of the class and the modules that it imports, directly or indirectly, as far as they belong to
    CrystalBench or, for a class outside the package, lie in the same folder. Modules that models do not depend on (the
    command line, reports, runs, tests of models) do not count, nor do imports for type checking only. A name that a
    package re-exports counts as an import of the module that defines it, not of everything in the package.
    """
    if parts:
        classes: tuple[Any, ...] = (defined, *parts)
        digests = [code_digest(one) for one in classes]  # each is cached
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()
    file = _source_file(defined)
    if file is None:
        return source_digest(defined)
    package = Path(__file__).resolve().parent
    roots = {package.name: package}
    if not file.resolve().is_relative_to(package):
        roots[""] = file.resolve().parent
    return digest_of(modules_behind(file.resolve(), roots))


def modules_behind(file: Path, roots: Mapping[str, Path]) -> dict[str, Path]:
    """A module and the modules that it imports, directly or indirectly, found in the source without importing them.

    Args:
        file: the module.
        roots: folders of the packages to follow by their name; the empty name stands for a folder of plain modules.

    Returns:
        Files by dotted name.
    """
    found: dict[str, Path] = {}
    todo = [file]
    while todo:
        path = todo.pop()
        name = _dotted(path, roots)
        if name in found:
            continue
        found[name] = path
        for imported in _imports(_parsed(path), name, is_package=path.name == "__init__.py"):
            todo += _files_of(imported.module, imported.name, roots)
    return found


def _source_file(defined: type[Any]) -> Path | None:
    try:
        file = inspect.getsourcefile(defined)
    except (TypeError, OSError):
        return None
    return Path(file) if file and Path(file).is_file() else None


def _cell(defined: type[Any]) -> str:
    """The source of the notebook cell that defines a class, as far as its methods know it."""
    codes = [getattr(value, "__code__", None) for value in vars(defined).values()]
    files = dict.fromkeys(code.co_filename for code in codes if code is not None)
    return "".join("".join(linecache.getlines(file)) for file in files)


def _dotted(path: Path, roots: Mapping[str, Path]) -> str:
    for name, folder in sorted(roots.items(), reverse=True):
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            return ".".join(filter(None, (name, *(parts[:-1] if parts[-1] == "__init__" else parts))))
    return path.stem


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


class _Import(NamedTuple):
    """An import of a module, or of a name from a module, and what it is called in the importing module."""

    module: str
    name: str = ""
    bound: str = ""


def _imports(tree: ast.AST, module: str, *, is_package: bool, all_: bool = False) -> Iterator[_Import]:
    """The imports of a module, without those for type checking only unless all are requested."""
    for node in ast.iter_child_nodes(tree):
        if not all_ and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _imports(ast.Module(node.orelse, []), module, is_package=is_package)
            continue
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                source = ".".join([*above, *filter(None, [node.module])])
            yield from (_Import(source, alias.name, alias.asname or alias.name) for alias in node.names)
        else:
            if (name := _imported_by_call(node)) is not None:
                yield _Import(name)
            yield from _imports(node, module, is_package=is_package, all_=all_)


def _imported_by_call(node: ast.AST) -> str | None:
    """The module that ``importlib.import_module`` or ``__import__`` imports, if its name is written there."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    function = ast.unparse(node.func).rpartition(".")[2]
    name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    return name if function in ("import_module", "__import__") and isinstance(name, str) else None


def _files_of(module: str, attribute: str, roots: Mapping[str, Path]) -> list[Path]:
    """The file that an imported name comes from: a module, or the module behind a name that a package re-exports."""
    first, *rest = module.split(".")
    if first in roots:
        folder = roots[first].joinpath(*rest)
        if first == "crystalbench" and rest[:1] and rest[0] in _ABOVE_MODELS:
            return []
    elif "" in roots:
        folder = roots[""].joinpath(*module.split(".")) if module else roots[""]
    else:
        return []
    if attribute and (submodule := _file_of(folder / attribute)):
        return [submodule]
    file = _file_of(folder)
    if file is None or not attribute or file.name != "__init__.py":
        return [file] if file else []
    name = _dotted(file, roots)
    # A package that loads its parts lazily imports their names for type checking.
    for imported in _imports(_parsed(file), name, is_package=True, all_=True):
        if imported.bound == attribute:
            return _files_of(imported.module, imported.name, roots)
    return [file]


def _file_of(path: Path) -> Path | None:
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)
