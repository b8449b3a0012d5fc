"""Where the checkpoints of fits are kept: a file for each member of a run, until the record is written."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from crystalbench.models.checkpoints import Checkpoint
from crystalbench.models.model import Model
from crystalbench.results.spec import RunSpec
from crystalbench.runs.environment import environment
from crystalbench.source_code import code_digest


@dataclass(frozen=True)
class FitCheckpoints:
    """The checkpoints in a folder.

    Attributes:
        folder: the folder; it is created with the first checkpoint.
    """

    folder: Path

    @classmethod
    def of_records(cls, root: Path) -> FitCheckpoints:
        """The checkpoints of runs whose records are written to a folder."""
        return cls(root / ".checkpoints")

    @property
    def root(self) -> Path:
        """The folder of records."""
        return self.folder.parent

    def of(self, spec: RunSpec, member: int, model: Model) -> Checkpoint:
        """The checkpoint of the fit of one member.

        Args:
            spec: specification of the run.
            member: number of the member of the ensemble.
            model: the member. Its hyperparameters may be tuned, so they do not follow from the specification.
        """
        facts = {
            "run": spec.key,
            "member": member,
            "hyperparameters": json.dumps(model.configuration(), sort_keys=True),
            "code": code_digest(type(model), *model.parts),
            "processor": environment()["processor"],
        }
        return Checkpoint(self.folder / f"{spec.key[:16]}-member-{member}-fit.pt", facts)

    def remove(self, spec: RunSpec) -> None:
        """Remove the checkpoints of a run that has ended, and the folder if it is empty."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"{spec.key[:16]}-member-*-fit*.pt"):
                path.unlink()
            self.folder.rmdir()
