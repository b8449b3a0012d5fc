"""Modules next to a file that is imported by its path: in one process, each name stands for one module."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from crystalbench.errors import ConfigError

Siblings = dict[str, tuple[Path, str]]
"""Files of such modules and SHA-256 of their contents, by name."""

_imported: Siblings = {}
"""Those of all files that were imported."""


def require_own(file: Path, siblings: Mapping[str, Path]) -> Siblings:
    """Refuse a file whose imports would find other modules than those next to it.

    Args:
        file: the file, which is not yet imported.
        siblings: the modules of its folder that it imports, by name.

    Returns:
        These modules with their contents, for `require_found`.

    Raises:
        ConfigError: a module of the same name belongs to Python or is imported from somewhere else, or one has changed
            since it was imported.
    """
    found: Siblings = {}
    for name, path in siblings.items():
        if name.partition(".")[0] in sys.stdlib_module_names:
            raise ConfigError(f"{file}: imports {name}, which is {path}, but also a module of Python; rename the file")
        digest = _sha256(path)
        other, imported = _imported.get(name, (path, digest))
        if name in sys.modules:
            other = Path(getattr(sys.modules[name], "__file__", None) or other).resolve()
            if other == path and imported != digest:
                raise ConfigError(
                    f"{path}: has changed since it was imported; restart Python (in a notebook, the kernel)"
                )
        if other != path and (name in sys.modules or other.is_file()) and digest != _sha256(other):
            raise ConfigError(
                f"{file}: imports {name}, which is {path}, but in this process that is {other}; rename one of them, or "
                "use one command or kernel for each"
            )
        found[name] = (path, digest)
    return found


def _sha256(path: Path) -> str:
    """SHA-256 of a file; a copy is as good as the file. Empty if it is gone."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def require_found(file: Path, siblings: Siblings) -> None:
    """Refuse a file that imports a module next to it within a function, where another one would be found.

    Args:
        file: the file, which is imported, and whose folder is in `sys.path`.
        siblings: the modules of its folder that it imports, as of `require_own`.

    Raises:
        ConfigError: an installed module has this name.
    """
    for name in {name.partition(".")[0] for name in siblings} - sys.modules.keys():
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and not Path(spec.origin).resolve().is_relative_to(file.resolve().parent):
            raise ConfigError(f"{file}: imports {name} of its folder, but that is also {spec.origin}; rename the file")
    _imported.update(siblings)
