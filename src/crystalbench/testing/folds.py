"""The contract of fold schemes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from crystalbench.data.crystals import concatenate
from crystalbench.errors import CrystalBenchError
from crystalbench.targets import Kind, Target
from crystalbench.tasks import Source, Task
from crystalbench.tasks.folds import Folds
from crystalbench.tasks.schemes import FoldScheme, FoldsFile, folds_file, get_fold_scheme
from crystalbench.testing._isolation import isolated, seed_all, unchanged_random_state
from crystalbench.testing.crystals import known_structures, random_crystals
from crystalbench.testing.report import CheckFailure, Checks, Memo, Report


def _example() -> Task:
    """A regression on crystals with different targets, half of which are ordered against the ids."""
    crystals = concatenate([random_crystals(5, 60, most_atoms=3), known_structures()])
    n = len(crystals)
    return Task(
        name="example",
        target=Target("property", Kind.REGRESSION, "eV"),
        metric="mae",
        inputs=crystals,
        targets=np.random.default_rng(0).permutation(n).astype(np.float64),
        folds=(np.arange(n) % 5).astype(np.int16),
        rows_total=n,
        source=Source("example", "0" * 64, "package"),
    )


@dataclass
class _SchemeCase:
    scheme: FoldScheme
    task: Task
    memo: Memo = field(default_factory=Memo)

    def made(self) -> Task:
        """The task with the folds of the scheme."""
        return self.memo.get("made", lambda: self.scheme.apply(self.task))


def check_fold_scheme(scheme: FoldScheme | str, /, task: Task | None = None, *, verbose: bool = False) -> Report:
    """Check that a fold scheme keeps the contract of all schemes.

    The checks: name, description and version are valid; parameters can be written as JSON; folds are numbered from 0
    to k - 1 and leave rows to train; the same rows get the same folds, whatever their order, the official folds and
    the global random state; the task is not modified; the folds can be written to a file and read again.

    Args:
        scheme: a scheme, or its name with parameters, as in `crystalbench.tasks.schemes.get_fold_scheme`.
        task: a task for which the folds can be made; by default, a regression on some seventy small crystals.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the scheme.
        UnknownNameError: there is no such scheme.
        ConfigError: the text cannot be read.

    Example:
        >>> check_fold_scheme("formula").passed[0]
        'name, description and version are valid'
    """
    __tracebackhide__ = True
    found = get_fold_scheme(scheme) if isinstance(scheme, str) else scheme
    case = _SchemeCase(found, task or _example())
    checks = Checks(f"fold scheme {getattr(found, 'name', type(found).__name__)}", case, type(found), verbose=verbose)
    with isolated():
        checks.run("checks", CHECKS)
        return checks.report()


def _declared(case: _SchemeCase) -> None:
    """Name, description and version are valid."""
    scheme = case.scheme
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", scheme.name):
        raise CheckFailure(f"name = {scheme.name!r}: use letters, digits and _ only")
    if not scheme.description.strip() or "\n" in scheme.description:
        raise CheckFailure("description must say in one line what the folds ask")
    if not isinstance(scheme.version, int) or scheme.version < 1:
        raise CheckFailure(f"version = {scheme.version!r}: it must be a positive integer")


def _parameters(case: _SchemeCase) -> None:
    """Parameters can be written as JSON."""
    written = case.scheme.spec.model_dump(mode="json")
    parameters = dataclasses.asdict(case.scheme)
    if json.loads(json.dumps(written))["parameters"] != parameters:
        raise CheckFailure(f"they are {parameters} and, read again, {written['parameters']}")


def _numbers(case: _SchemeCase) -> None:
    """Folds are numbered from 0 and leave rows to train."""
    made = case.made()
    for fold in made.fold_numbers:
        made.split(fold)


def _repeatable(case: _SchemeCase) -> None:
    """The same rows get the same folds."""
    expected = case.made().folds
    seed_all(3)
    with unchanged_random_state("assign"):
        again = case.scheme.apply(case.task).folds
    if not np.array_equal(expected, again):
        raise CheckFailure(f"the second time, {int((expected != again).sum())} rows are in another fold")


def _order(case: _SchemeCase) -> None:
    """The order of the rows and their official folds have no influence."""
    task, order = case.task, np.random.default_rng(1).permutation(len(case.task))
    other = dataclasses.replace(
        task, inputs=task.inputs[order], targets=task.targets[order], folds=np.zeros(len(task), np.int16)
    )
    expected: Folds = case.made().folds[order]
    found = case.scheme.apply(other).folds
    if not np.array_equal(expected, found):
        raise CheckFailure(f"with the rows in another order, {int((expected != found).sum())} are in another fold")


def _unmodified(case: _SchemeCase) -> None:
    """The task is not modified."""
    before = _digest_of(case.task)
    case.scheme.apply(case.task)
    if _digest_of(case.task) != before:
        raise CheckFailure("its rows, targets or folds differ afterwards")


def _digest_of(task: Task) -> str:
    """The digest of a copy, since a task keeps its own."""
    copy = dataclasses.replace(task, inputs=task.inputs[:])
    return copy.digest


def _file(case: _SchemeCase) -> None:
    """Folds can be written to a file and read again."""
    made = case.made()
    try:
        again = FoldsFile.model_validate_json(folds_file(made).model_dump_json()).apply(case.task)
    except CrystalBenchError as error:
        raise CheckFailure(str(error)) from error
    if not np.array_equal(made.folds, again.folds) or again.fold_scheme != made.fold_scheme:
        raise CheckFailure("the folds in the file differ")


CHECKS: tuple[Callable[[_SchemeCase], None], ...] = (
    _declared,
    _parameters,
    _numbers,
    _repeatable,
    _order,
    _unmodified,
    _file,
)
