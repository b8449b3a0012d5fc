"""Answers: what fitted models were asked beyond the predictions of their test part, one table per run or task."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crystalbench._files import write_bytes
from crystalbench.errors import RecordError
from crystalbench.results.frames import PREDICTION_FACTS, run_facts
from crystalbench.results.loading import PROBES
from crystalbench.results.names import plain_name
from crystalbench.results.record import Record
from crystalbench.results.spec import RunSpec

ROWS = "_rows"
"""Folder of the facts of a task's rows."""

TASK_FACTS = ("task", "data")
"""Facts of the task that each described row repeats: its name and digest."""

log = logging.getLogger(__name__)

FACTS = (*PREDICTION_FACTS, "model_name", "rows_total", "settings", "sees", "source")
"""Facts of the run that each row of answers repeats, as in `crystalbench.results.frames.scores_frame`."""


@dataclass(frozen=True)
class AnswerStore:
    """A folder of answers to one probe: ``task/label/name.parquet``, named like the records of the runs.

    Facts of the rows of a task are in ``task/_rows``, named by the digest of the task.

    Attributes:
        root: the folder; it is created when the first file is written.
    """

    root: Path

    @classmethod
    def of(cls, results: Path, probe: str, version: int) -> AnswerStore:
        """The answers to a version of a probe below a folder of results."""
        return cls(results / PROBES / "answers" / f"{probe}-v{version}")

    def path_of(self, spec: RunSpec) -> Path | None:
        """The file of a run, or None."""
        name = Path(Record.name_of(spec)).with_suffix(".parquet")
        return next((self.root / plain_name(spec.task)).glob(f"*/{name}"), None)

    def write(self, record: Record, answers: pd.DataFrame) -> Path:
        """Write the answers of a run atomically, with the facts of the run.

        Raises:
            RecordError: a column has the name of a fact, or the file cannot be written.
        """
        facts = run_facts(record)
        return _write(self.root / record.file_name, answers, {name: facts[name] for name in FACTS}, "the run")

    def path_of_task(self, task: str, data: str) -> Path | None:
        """The file with the facts of a task's rows, or None."""
        path = self._task_path(task, data).with_suffix(".parquet")
        return path if path.is_file() else None

    def write_task(self, task: str, data: str, rows: pd.DataFrame) -> Path:
        """Write facts of the rows of a task atomically, with its name and digest.

        Raises:
            RecordError: a column is called ``task`` or ``data``, or the file cannot be written.
        """
        return _write(self._task_path(task, data), rows, dict(zip(TASK_FACTS, (task, data), strict=True)), "the task")

    def _task_path(self, task: str, data: str) -> Path:
        return self.root / plain_name(task) / ROWS / data[:16]

    def read_all(self) -> pd.DataFrame:
        """All answers, file after file; an empty frame if there are none. Damaged files are left out with a warning."""
        return pd.concat(parts, ignore_index=True) if (parts := list(self._parts())) else pd.DataFrame()

    def _parts(self) -> Iterable[pd.DataFrame]:
        for path in sorted(self.root.glob("*/*/*.parquet")):
            try:
                yield pd.read_parquet(path)
            except (OSError, ValueError) as error:
                log.warning("%s: cannot be read (%s); delete it, and it is made again", path, error)


def _write(path: Path, rows: pd.DataFrame, facts: Mapping[str, Any], what: str) -> Path:
    path = path.with_suffix(".parquet")
    if clash := sorted(set(facts) & set(map(str, rows))):
        raise RecordError(f"{path}: answers cannot have the columns {', '.join(clash)}, which are facts of {what}")
    buffer = io.BytesIO()
    try:
        rows.assign(**dict(facts)).to_parquet(buffer, index=False)
        write_bytes(path, buffer.getvalue(), durable=True)
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(f"{path}: the answers cannot be written ({error})") from error
    return path
