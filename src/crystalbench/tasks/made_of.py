"""MadeOfTaskSpec: a task with the data files of another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.spec import Availability, TaskSpec

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources


@dataclass(frozen=True)
class MadeOfTaskSpec(TaskSpec):
    """A task that is made of any other one, whose name its own begins with (`crystalbench.tasks.suffixes`).

    Data are named for the other task.

    Attributes:
        task: the other task.
    """

    task: TaskSpec = field(kw_only=True)

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """Those of the task."""
        return self.task.remote_files

    def local_files(self, sources: DataSources) -> tuple[Path, ...] | None:
        """Those of the task."""
        return self.task.local_files(sources)

    def has_structures_here(self, sources: DataSources) -> bool:
        """As the task."""
        return self.task.has_structures_here(sources)

    def availability(self, sources: DataSources) -> Availability:
        """That of the task."""
        return self.task.availability(sources)
