"""Find plugins: by the name of an entry point, by ``package.module:Name``, or by ``path/to/file.py:Name``."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from crystalbench._siblings import require_found, require_own
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.source_code import digest_of, modules_behind

log = logging.getLogger(__name__)

EXTRAS: Mapping[str, str] = {"potentials": "chgnet", "pyg": "torch_geometric", "ray": "ray"}
"""Module that an extra of the package installs, by the name of the extra; for objects that need one."""


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
    digest = digest_of(modules_behind(path.resolve(), roots))
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
    _imported[name] = spec, digest_of(siblings)
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
