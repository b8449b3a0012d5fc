"""Shipping: what a node needs for a run, with data by path where the node sees the same file."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crystalbench.data.views.view import parts_of
from crystalbench.errors import ConfigError
from crystalbench.plugins import import_copy, module_of_file
from crystalbench.runs.executors.packing import PackedRun, PackingFolder
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.plan import Run
from crystalbench.source_code import code_digest, modules_behind


@dataclass(frozen=True)
class PluginFile:
    """A file of a plug-in, with the modules of its folder that it imports.

    Attributes:
        path: the file on the driver's machine.
        module: the name under which it is imported there.
        sources: content of it and of these modules, by path relative to its folder.
    """

    path: Path
    module: str
    sources: dict[str, bytes]

    @classmethod
    def of(cls, path: Path) -> PluginFile:
        """A file of this machine."""
        path = path.resolve()
        files = modules_behind(path, {"": path.parent}).values()
        return cls(path, module_of_file(path), {f.relative_to(path.parent).as_posix(): f.read_bytes() for f in files})

    def make_importable(self) -> None:
        """Import it: from its place if the same files are there, otherwise from a copy."""
        import_copy(self.module, self.path if self._is_at(self.path.parent) else self._written() / self.path.name)

    def _is_at(self, folder: Path) -> bool:
        try:
            return all((folder / name).read_bytes() == content for name, content in self.sources.items())
        except OSError:
            return False

    def _written(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="crystalbench-plugin-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name, content in self.sources.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder


@dataclass(frozen=True)
class SameFile:
    """A file, and what tells whether another machine sees the same one.

    Attributes:
        path: its absolute path.
        identity: its number in the file system, and when it was last changed (ns).
    """

    path: Path
    identity: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> SameFile:
        """A file that exists."""
        path = path.absolute()
        return cls(path, _identity(path))

    def is_seen(self) -> bool:
        """Whether this machine sees it."""
        try:
            return _identity(self.path) == self.identity
        except OSError:
            return False


def _identity(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns


@dataclass(frozen=True)
class Shipment:
    """A run for a node.

    Attributes:
        run: the run; its model and view are named by the path on the driver's machine, or are sent themselves.
        title: its title.
        device: torch device.
        sha256: SHA-256 of the file of its task.
        plugins: the files of its model and view.
        code: digest of the modules of its model and its members; empty if the class is sent itself.
        lock: the file by which a node knows that it sees the folder of records; None if there is none.
    """

    run: PackedRun
    title: str
    device: str
    sha256: str
    plugins: tuple[PluginFile, ...]
    code: str
    lock: SameFile | None


class Shipper:
    """Makes shipments on the driver's machine.

    Args:
        folder: where tasks are packed.
        checkpoints: where fits are saved; None if they are not.
    """

    def __init__(self, folder: PackingFolder, checkpoints: FitCheckpoints | None) -> None:
        self._folder, self._checkpoints = folder, checkpoints
        self._digests: dict[Path, str] = {}

    def ship(self, run: Run, device: str) -> Shipment:
        """A run for a node."""
        packed = self._folder.pack(run)
        named = isinstance(packed.model, str)
        places = [packed.model] if isinstance(packed.model, str) else []
        places += parts_of(packed.view) if isinstance(packed.view, str) else []
        files = dict.fromkeys(filter(None, map(_plugin_path, places)))
        packed = replace(packed, model=_absolute(packed.model), view=_absolute(packed.view))
        if packed.task not in self._digests:
            self._digests[packed.task] = sha256_of(packed.task)
        return Shipment(
            packed,
            run.title,
            device,
            self._digests[packed.task],
            tuple(map(_plugin_file, files)),
            code_digest(*run.classes()) if named else "",
            self._lock_of(run),
        )

    def _lock_of(self, run: Run) -> SameFile | None:
        if self._checkpoints is None:
            return None
        try:
            return SameFile.of(RunLocks(self._checkpoints.root).file(run.spec.key))
        except OSError:
            return None


_plugin_file = functools.cache(PluginFile.of)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plugin_path(place: str) -> Path | None:
    file, colon, _ = place.rpartition(":")
    return Path(file).resolve() if colon and file.endswith(".py") else None


def _absolute(place: Any) -> Any:
    """The name of a model or view, with files named by their absolute path."""
    if not isinstance(place, str):
        return place
    parts = []
    for part in parts_of(place):
        path = _plugin_path(part)
        parts.append(part if path is None else f"{path}:{part.rpartition(':')[2]}")
    return "+".join(parts)


def check_code(shipment: Shipment, run: Run, node: str) -> None:
    """Check that a node computes a run by the code that the driver has, that of the members of a stack included.

    Raises:
        ConfigError: the code differs.
    """
    classes = run.classes()
    if shipment.code and code_digest(*classes) != shipment.code:
        names = " or ".join(one.__name__ for one in classes)
        raise ConfigError(
            f"node {node} has other code for {names} than this machine; install the same version of "
            "CrystalBench, and of the model's package, on all nodes"
        )
