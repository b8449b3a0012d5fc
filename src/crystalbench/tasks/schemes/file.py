"""Folds in a file: the ids of each test part, so that folds can be made elsewhere, published and used again."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from crystalbench import plugins
from crystalbench._files import write_text
from crystalbench._validation import problems
from crystalbench.data.checks import first_ids
from crystalbench.errors import ConfigError
from crystalbench.results.sealed import Frozen, digest, seal
from crystalbench.results.spec import FoldSchemeSpec
from crystalbench.targets import OFFICIAL
from crystalbench.tasks.folds import Folds
from crystalbench.tasks.tables.reading import distinct_keys
from crystalbench.tasks.task import NEVER_TESTED, Task

_GROUP = "crystalbench.tasks.schemes"


class FoldsFile(Frozen):
    """The content of a file of folds.

    Attributes:
        task: name of the task.
        scheme: the scheme that made the folds; in a file by hand, a name of your choice.
        folds: ids of the test part of each fold.
        train_only: ids of the rows that are in no test part.
        format: version of this format.
    """

    task: str
    scheme: FoldSchemeSpec = FoldSchemeSpec(name="custom")
    folds: list[list[str]] = Field(min_length=1, max_length=32_767)
    train_only: list[str] = Field(default_factory=list)
    format: Literal[1] = 1

    def to_json(self) -> str:
        """Text of the file: one line per field, and the digest of the others at the end."""
        return seal(self.model_dump(mode="json"))

    def apply(self, task: Task) -> Task:
        """The task with these folds.

        Raises:
            ConfigError: the folds are of another task; an id is in two parts, unknown or missing; a test part is empty
                or has all rows; or they are called official and differ from the task's own.
        """
        where = f"folds {self.scheme.text} from a file"
        if task.name != self.task:
            raise ConfigError(f"{where}: they are of the task {self.task}, not of {task.name}")
        folds = _assigned(self, task, where)
        if self.scheme.name == OFFICIAL:
            if not np.array_equal(folds, task.folds):
                raise ConfigError(f"{where}: they differ from the folds of {task.name}; give the scheme another name")
            return task
        return dataclasses.replace(task, folds=folds, fold_scheme=self.scheme)


def _assigned(file: FoldsFile, task: Task, where: str) -> Folds:
    parts = [*file.folds, file.train_only]
    for fold, ids in enumerate(file.folds):
        if not ids:
            raise ConfigError(f"{where}: the test part of fold {fold} is empty")
    times = Counter(name for ids in parts for name in ids)
    known = {str(name): row for row, name in enumerate(task.inputs.ids)}
    some = f"; {task.name} is loaded with {len(task):,} of its {task.rows_total:,} rows" if task.is_partial else ""
    _refuse(where, [name for name, n in times.items() if n > 1], "in more than one part or twice in one")
    _refuse(where, [name for name in times if name not in known], f"unknown in {task.name}", some)
    _refuse(where, [name for name in known if name not in times], "missing: each row belongs to a fold or train_only")
    folds = np.full(len(task), NEVER_TESTED, dtype=np.int16)
    for fold, ids in enumerate(file.folds):
        folds[[known[name] for name in ids]] = fold
    if len(file.folds) == 1 and not file.train_only:
        raise ConfigError(f"{where}: the training part of fold 0 is empty")
    return folds


def _refuse(where: str, ids: Sequence[str], problem: str, note: str = "") -> None:
    if ids:
        are = "ids are" if len(ids) > 1 else "id is"
        raise ConfigError(f"{where}: {len(ids):,} {are} {problem}: {first_ids(ids)}{note}")


def folds_file(task: Task) -> FoldsFile:
    """The folds of a loaded task, as the content of a file."""
    ids = task.inputs.ids
    return FoldsFile(
        task=task.name,
        scheme=task.fold_scheme or FoldSchemeSpec(name=OFFICIAL),
        folds=[ids[task.folds == fold].tolist() for fold in task.fold_numbers],
        train_only=ids[task.folds == NEVER_TESTED].tolist(),
    )


def write_folds(task: Task, path: Path) -> None:
    """Write the folds of a task to a JSON file, which `read_folds` reads.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        write_text(path, folds_file(task).to_json())
    except OSError as error:
        raise ConfigError(f"{path}: the folds cannot be written ({error.strerror or error})") from error


def read_folds(path: Path) -> FoldsFile:
    """Read a file of folds.

    A file by hand needs ``task`` and ``folds`` only. One that names a registered scheme needs the digest with which
    `write_folds` ends it, so that changed folds do not pass for those of the scheme.

    Raises:
        ConfigError: the file is missing or is not a file of folds, or it was changed after it was written.
    """
    try:
        body: Any = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=distinct_keys)
    except OSError as error:
        raise ConfigError(f"{path}: the folds cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid JSON ({error})") from error
    written = body.pop("digest", None) if isinstance(body, dict) else None
    try:
        found = FoldsFile.model_validate(body)
    except ValidationError as error:
        raise ConfigError(f"{path}: is not a file of folds: {problems(error)[0]}") from error
    if written is not None and written != digest(body):
        raise ConfigError(
            f"{path}: was changed after it was written (its digest differs); write it again with --folds-out, or give "
            "the scheme a name of your own and remove the digest"
        )
    name = found.scheme.name
    if written is None and name in plugins.registered(_GROUP):
        raise ConfigError(
            f"{path}: has no digest, so its folds may not be those of {name}; give the scheme another name"
        )
    return found
