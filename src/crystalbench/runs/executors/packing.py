"""Packed runs: runs in a form that another process can read, with each task stored only once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.backend import resource_tracker

from crystalbench.data.views import View, get_view
from crystalbench.errors import ConfigError
from crystalbench.models import Model, get_model
from crystalbench.results.spec import RunSpec
from crystalbench.runs.command import CommandNames
from crystalbench.runs.plan import Run
from crystalbench.source_code import local_digest
from crystalbench.tasks.task import Task
from crystalbench.tuning.space import Space


@dataclass(frozen=True)
class PackedRun:
    """A run whose task is in a file, and whose model and view are named where another process can find them."""

    spec: RunSpec
    label: str
    model: str | type[Model]
    view: str | View
    space: Space
    names: CommandNames | None
    task: Path

    def unpack(self, tasks: TaskReader) -> Run:
        """The run, with its task loaded.

        Raises:
            ConfigError: the file of the model was edited after the run was planned.
        """
        model = get_model(self.model) if isinstance(self.model, str) else self.model
        if isinstance(self.model, str) and self.spec.model_code not in (None, local_digest(model)):
            raise ConfigError(f"{self.model}: its code has changed since the command was started; start it again")
        view = get_view(self.view) if isinstance(self.view, str) else self.view
        return Run(self.spec, self.label, model, tasks.read(self.task), view, self.space, self.names)


class TaskReader:
    """Reads packed tasks, and keeps the last one. Their arrays are memory-mapped, so that processes share them."""

    def __init__(self) -> None:
        self._last: tuple[Path, Task] | None = None

    def read(self, path: Path) -> Task:
        """The task in a file."""
        if self._last is None or self._last[0] != path:
            self._last = None
            self._last = path, joblib.load(path, mmap_mode="r")
        return self._last[1]


class PackingFolder:
    """A temporary folder with packed tasks.

    If this process is killed, loky's resource tracker removes the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="crystalbench-"))
        resource_tracker.register(str(self.path), "folder")
        self._lock = threading.Lock()

    def pack(self, run: Run) -> PackedRun:
        """A run for another process; its task is written unless it was before."""
        names = run.names
        by_name = names is not None and _is_named(run.model, names.model)
        model: Any = names.model if names and by_name else run.model
        view: Any = names.view if names and get_view(names.view) is run.view else run.view
        return PackedRun(run.spec, run.label, model, view, run.space, names, self._task_file(run.task))

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        resource_tracker.unregister(str(self.path), "folder")

    def _task_file(self, task: Task) -> Path:
        # Tasks with the same rows may have other names or metrics, which their digest does not contain.
        facts = (task.digest, task.name, task.metric, task.rows_total, task.source, task.remarks, task.fold_scheme)
        path = self.path / f"{hashlib.sha256(repr(facts).encode()).hexdigest()}.task"
        with self._lock:
            if not path.exists():
                joblib.dump(task, path)
        return path


def _is_named(model: type[Model], name: str) -> bool:
    """Whether another process finds the model under this name; a class of a script or notebook is sent itself."""
    return model.__module__ != "__main__" and "<locals>" not in model.__qualname__ and get_model(name) is model
