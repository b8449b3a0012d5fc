"""Find plugins: by the name of an entry point, by ``package.module:Name``, or by ``path/to/file.py:Name``."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import sys
from pathlib import Path
from typing import Any

from crystalbench.errors import ConfigError, UnknownNameError

log = logging.getLogger(__name__)


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
        ConfigError: the module or the registered object cannot be imported.
    """
    if ":" in name:
        return _load_from_place(what, name)
    entries = registered(group)
    if name not in entries:
        raise UnknownNameError(what, name, entries)
    try:
        return entries[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{what} {name!r} is registered as {entries[name].value} but cannot be loaded: {error}"
        ) from error


def source_digest(defined: type[Any]) -> str:
    """SHA-256 of the source file of a class; empty if there is none."""
    try:
        file = inspect.getsourcefile(defined)
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except (TypeError, OSError):
        return ""


def _load_from_place(what: str, place: str) -> Any:
    module_name, _, attribute = place.rpartition(":")
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else _import(module_name)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{what} {place!r}: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UnknownNameError(f"attribute of {module_name}", attribute, public)
    return getattr(module, attribute)


def _import(name: str) -> Any:
    # The user's own package is usually in the current folder.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return importlib.import_module(name)


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    name = f"crystalbench_file_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module while it is executed
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
