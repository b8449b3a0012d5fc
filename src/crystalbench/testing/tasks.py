"""The contract of tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from crystalbench._words import with_article
from crystalbench.data.crystals import Crystals
from crystalbench.targets import Kind, get_metric
from crystalbench.tasks import DataSources, Task, TaskSpec, get_task_spec
from crystalbench.testing._isolation import isolated, seed_all, unchanged_random_state
from crystalbench.testing.report import CheckFailure, Checks, Memo, Report


@dataclass
class _TaskCase:
    spec: TaskSpec
    sources: DataSources
    memo: Memo = field(default_factory=Memo)

    def task(self) -> Task:
        """The task, loaded once."""
        return self.memo.get("task", lambda: self.spec.load(self.sources))


def check_task(spec: TaskSpec | str, /, sources: DataSources | None = None, *, verbose: bool = False) -> Report:
    """Check that a task keeps the contract of all tasks.

    The checks: it loads as its specification says; ids are unique; the targets fit their kind, and the metric the
    target; every tested row is in exactly one test part; no training part contains rows of its test part;
    loaded again, it has the same digest.

    Args:
        spec: a specification, a registered name, or the path of a task file (``.toml``).
        sources: where the data is; by default the usual folders, without a download.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed, or the data cannot be loaded; the message lists every failed check.
        UnknownNameError: no task has this name.
        ConfigError: the task file is missing or has mistakes.

    Example:
        >>> check_task("demo_bulk_modulus").passed[0]
        'task can be loaded'
    """
    __tracebackhide__ = True
    found = get_task_spec(spec) if isinstance(spec, str) else spec
    case = _TaskCase(found, sources or DataSources(download=False))
    checks = Checks(f"task {found.name}", case, type(found), verbose=verbose)
    with isolated():
        checks.run("checks", CHECKS)
        return checks.report()


def _loads(case: _TaskCase) -> None:
    """Task can be loaded."""
    task = case.task()
    if not isinstance(task, Task):
        raise CheckFailure(f"load returns {with_article(type(task).__name__)}, not a Task")


def _as_declared(case: _TaskCase) -> None:
    """Name, target, metric and rows are those declared."""
    task, spec = case.task(), case.spec
    for name in ("name", "target", "metric", "has_structures", "rows_total"):
        declared, loaded = getattr(spec, name), getattr(task, name)
        if declared != loaded:
            raise CheckFailure(f"{name} is {declared!r} in the specification, and {loaded!r} once loaded")
    if len(task) > task.rows_total:
        raise CheckFailure(f"it has {len(task)} rows, more than rows_total = {task.rows_total}")


def _available(case: _TaskCase) -> None:
    """Availability agrees with the rows loaded."""
    rows = case.spec.availability(case.sources).rows
    limit = case.sources.limit
    expected = len(case.task())
    if rows is not None and rows != expected and (limit is None or expected != min(rows, limit)):
        raise CheckFailure(f"availability says {rows} rows, {expected} were loaded")


def _ids(case: _TaskCase) -> None:
    """Ids are unique and not empty."""
    ids = case.task().inputs.ids
    names, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise CheckFailure(f"{names[np.argmax(counts)]} occurs {counts.max()} times")
    if "" in names:
        raise CheckFailure(f"row {int(np.flatnonzero(ids == '')[0])} has an empty id")


def _inputs(case: _TaskCase) -> None:
    """Crystals are valid.

    Finite coordinates, cells of positive volume.
    """
    inputs = case.task().inputs
    if isinstance(inputs, Crystals):
        finite = np.isfinite(inputs.lattices).all(axis=(1, 2))
        finite &= np.bincount(inputs.owners, ~np.isfinite(inputs.frac_coords).all(axis=1), len(inputs)) == 0
        for valid, what in ((finite, "values that are not finite"), (inputs.volumes > 0, "a cell without volume")):
            if not valid.all():
                raise CheckFailure(f"{inputs.ids[np.argmin(valid)]} has {what}")


def _targets(case: _TaskCase) -> None:
    """Targets fit their kind, and the metric."""
    task = case.task()
    target, values = task.target, task.targets
    if target.kind not in get_metric(task.metric).kinds:
        raise CheckFailure(f"the metric {task.metric} is not one for {target.kind} targets")
    if not np.isfinite(values).all():
        raise CheckFailure(f"the target of {task.inputs.ids[np.argmin(np.isfinite(values))]} is not finite")
    if target.kind is Kind.REGRESSION:
        return
    classes = max(2, len(target.classes))
    wrong = ~np.isin(values, np.arange(classes))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise CheckFailure(f"the target of {task.inputs.ids[row]} is {values[row]:g}; classes are 0 to {classes - 1}")


def _folds(case: _TaskCase) -> None:
    """Folds divide the rows.

    Every tested row is in one test part and in no training part of that fold.
    """
    task = case.task()
    if not task.fold_numbers:
        raise CheckFailure("it has no folds")
    tested = np.zeros(len(task), dtype=int)
    for fold in task.fold_numbers:
        train, test = task.split(fold)
        if not np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(task))):
            raise CheckFailure(f"the parts of fold {fold} overlap or lack rows")
        if not len(test):
            raise CheckFailure(f"fold {fold} has no rows to test on")
        tested[test] += 1
    if (tested > 1).any():
        raise CheckFailure(f"{task.inputs.ids[np.argmax(tested)]} is in {tested.max()} test parts")


def _digest(case: _TaskCase) -> None:
    """Digest is reproducible."""
    expected = case.task().digest
    seed_all(3)
    with unchanged_random_state("load"):
        again = case.spec.load(case.sources).digest
    if again != expected:
        raise CheckFailure(f"it is {expected[:12]} and then {again[:12]}, so no result could be reproduced")


CHECKS: tuple[Callable[[_TaskCase], None], ...] = (
    _loads,
    _as_declared,
    _available,
    _ids,
    _inputs,
    _targets,
    _folds,
    _digest,
)
