"""Find plugins: by the name of an entry point, by ``package.module:Name``, or by ``path/to/file.py:Name``."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import logging
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from crystalbench._siblings import require_found, require_own
from crystalbench.errors import ConfigError, UnknownNameError

log = logging.getLogger(__name__)

EXTRAS: Mapping[str, str] = {"potentials": "chgnet", "pyg": "torch_geometric", "ray": "ray"}
"""Module that an extra of the package installs, by the name of the extra; for objects that need one."""

_ABOVE_MODELS = frozenset({"cli", "probes", "reports", "runs", "testing"})
"""Parts of the package that no model is computed by."""


@functools.cache
def registered(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of a group by name, without importing them.

    Raises:
        ConfigError: two packages register the same name.
    """
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=group):
        if entry.name in found and found[entry.name].value != entry.value:
            raise ConfigError(
                f"{group}: the name {entry.name!r} is registered twice, for {found[entry.name].value} and "
                f"{entry.value}; uninstall one of the packages, or rename an entry point"
            )
        found[entry.name] = entry
    return found


def load(group: str, what: str, name: str) -> Any:
    """Load an object by its registered name, by ``package.module:Name``, or by ``path/to/file.py:Name``.

    Args:
        group: entry-point group, e.g. ``crystalbench.models``.
        what: what the object is, for messages, e.g. ``model``.
        name: registered name, or location.

    Raises:
        UnknownNameError: no object is registered under this name, or the module has no such attribute.
        ConfigError: the module or the registered object cannot be imported, a module named by its place was edited
            after it was imported, or a file is named without a name in it.
    """
    if ":" in name:
        return _load_from_place(what, name)
    if name.endswith(".py"):
        raise ConfigError(f"{what} {name!r}: name a {what} of the file, as {name}:NAME")
    entries = registered(group)
    if name not in entries:
        raise UnknownNameError(what, name, entries)
    try:
        return entries[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{what} {name!r} is registered as {entries[name].value} but cannot be loaded: {error}{_remedy(error)}"
        ) from error


def registered_name(group: str, found: object) -> str | None:
    """The name under which an object is registered; None if it is not. Nothing is imported.

    Args:
        group: entry-point group.
        found: the object, such as a class.
    """
    location = f"{getattr(found, '__module__', None)}:{getattr(found, '__qualname__', None)}"
    for name, entry in registered(group).items():
        if entry.value == location or getattr(sys.modules.get(entry.module), entry.attr, None) is found:
            return name
    return None


def missing_extra(extra: str | None) -> str:
    """What is not installed and how to install it, in words that continue "needs"; empty if nothing is missing.

    Args:
        extra: name of an extra of the package; None for none.
    """
    if extra is None or importlib.util.find_spec(EXTRAS[extra]) is not None:
        return ""
    return f"{EXTRAS[extra]}, which is not installed; run: pip install 'crystalbench[{extra}]'"


def require_extra(extra: str | None, what: str) -> None:
    """Check that an extra of the package is installed, without importing it.

    Args:
        extra: name of the extra; None for none.
        what: what needs it, for the message.

    Raises:
        ConfigError: it is not installed.
    """
    if missing := missing_extra(extra):
        raise ConfigError(f"{what} needs {missing}")


def _remedy(error: BaseException) -> str:
    """What to do about an import that failed: write it in another way, or install an extra of the package."""
    if "attempted relative import" in str(error):
        return "; a file is no package, so write 'import helper', or name it as package.module:NAME"
    module = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    extra = next((extra for extra, installed in EXTRAS.items() if installed == module), None)
    return "" if extra is None else f"; run: pip install 'crystalbench[{extra}]'"


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
    return source_digest(defined) if len(modules) == 1 else _digest_of(modules)


def _digest_of(modules: Mapping[str, Path]) -> str:
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
    return _digest_of(modules_behind(file.resolve(), roots))


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


def _load_from_place(what: str, place: str) -> Any:
    module_name, _, attribute = place.rpartition(":")
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else _import(module_name)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{what} {place!r}: {module_name} cannot be imported: {type(error).__name__}: {error}{_remedy(error)}"
        ) from error
    if not hasattr(module, attribute):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UnknownNameError(f"attribute of {module_name}", attribute, public)
    return getattr(module, attribute)


def _import(name: str) -> Any:
    # The user's own package is usually in the current folder.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    module = importlib.import_module(name)
    if (path := _editable_file(module)) is not None:
        _require_unchanged(module, path, _package_of(name, path))
    return module


def _editable_file(module: ModuleType) -> Path | None:
    """The source file of a module of the user's; None for installed modules and those of CrystalBench."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py") or not Path(file).is_file():
        return None
    path, own = Path(file).resolve(), Path(__file__).resolve().parent
    installed = (Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    return None if any(path.is_relative_to(folder) for folder in (own, *installed)) else path


def _package_of(name: str, path: Path) -> dict[str, Path]:
    """The folder of the outermost package of a module by its name; for a module in no package, its own folder."""
    depth = name.count(".") + (path.name == "__init__.py")
    return {name.partition(".")[0] if depth else "": path.parents[max(0, depth - 1)]}


def module_of_file(path: Path) -> str:
    """The name under which the module in a file is imported; of a relative path, it depends on the current folder."""
    return f"crystalbench_file_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"


def import_copy(name: str, path: Path) -> None:
    """Import a copy of a file of another machine, unless it is imported already.

    Args:
        name: name of the module on the other machine, as of `module_of_file`.
        path: the copy.
    """
    if name not in sys.modules:
        _execute(name, path)


def _import_file(path: Path) -> Any:
    name = module_of_file(path)
    if name in sys.modules:
        if path.is_file():
            _require_unchanged(sys.modules[name], path, _folder_of(path))
        return sys.modules[name]
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    return _execute(name, path)


def _folder_of(path: Path) -> dict[str, Path]:
    return {"": path.resolve().parent}


_imported: dict[str, tuple[object, str]] = {}
"""What was imported, by name of the module: its specification, which is another one after a reload, and the digest of
its file with the modules of its folder or package that it imports."""


def _require_unchanged(module: ModuleType, path: Path, roots: Mapping[str, Path]) -> None:
    """Refuse a module that was edited after it was imported: keys would name the new code, and results be of the old.

    A module that something else imported is taken to be as it was imported when it is first used as a plug-in.

    Args:
        module: the module.
        path: its file.
        roots: folders of the modules that count as parts of it, as for `modules_behind`.

    Raises:
        ConfigError: it was.
    """
    digest = _digest_of(modules_behind(path.resolve(), roots))
    known = _imported.get(module.__name__)
    if known is None or known[0] is not module.__spec__:
        _imported[module.__name__] = module.__spec__, digest
    elif digest != known[1]:
        raise ConfigError(
            f"{path}: it, or a module of its folder or package that it imports, has changed since it was imported; "
            "restart Python (in a notebook, the kernel)"
        )


def _execute(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is not a Python file")
    siblings = modules_behind(path.resolve(), _folder_of(path))
    _imported[name] = spec, _digest_of(siblings)
    del siblings[path.resolve().stem]
    own = require_own(path, siblings)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module while it is executed
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # its own imports find modules of the same folder first, as in a script
    before = set(sys.modules)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for imported in {name, *own.keys() - before}:  # they may be edited before the next try
            sys.modules.pop(imported, None)
        raise
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for imports within functions
    try:
        require_found(path, own)
    except ConfigError:
        del sys.modules[name]
        raise
    return module
