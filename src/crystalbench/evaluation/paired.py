"""Errors of several models on the same test rows, compared row by row.

The scores of two models on one test part are not independent: a row that is hard for one is often hard for the other.
So rows are drawn anew together for all models (the paired bootstrap), and a ratio of two mean errors is more certain
than each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crystalbench.data.views import FULL
from crystalbench.errors import DataError
from crystalbench.results.record import Record

FloatArray: TypeAlias = npt.NDArray[np.float64]
Statistic: TypeAlias = Callable[[Mapping[str, FloatArray]], FloatArray]
"""From mean errors by name to a number, for many draws of the rows at once."""

DRAWS = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # numbers of a resample that are held at once


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """What one model predicted for the test rows of a regression task, all folds together.

    Attributes:
        ids: (n,) ids of the rows, sorted.
        targets: (n,) true values.
        values: (seeds, n) predictions.
        unit: unit of both.
        parameters: the model's hyperparameters.
    """

    ids: npt.NDArray[np.str_]
    targets: FloatArray
    values: FloatArray
    unit: str
    parameters: Mapping[str, Any]

    @property
    def seeds(self) -> int:
        """Number of repetitions."""
        return len(self.values)

    @property
    def errors(self) -> FloatArray:
        """(n,) absolute errors, each the mean over the seeds."""
        return np.asarray(np.abs(self.values - self.targets).mean(axis=0))


def predicted_rows(records: Iterable[Record], task: str) -> tuple[dict[str, PredictedRows], list[str]]:
    """What the models predicted for a regression task, by their names in tables.

    Only runs that saw everything (view ``full``) and have all folds of a seed count. Of several configurations with the
    same name the one finished last is taken; of runs on different rows of the task, those on most rows.

    Args:
        records: records of any tasks.
        task: name of the task.

    Returns:
        The predictions by name, and notes on what was left out. All are of the same rows.

    Raises:
        DataError: records of the same rows disagree about ids or targets.
    """
    mine = [r for r in records if r.spec.task == task and r.spec.view == FULL and r.kind == "regression"]
    if not mine:
        return {}, []
    notes = []
    by_data: dict[str, list[Record]] = defaultdict(list)
    for record in mine:
        by_data[record.spec.data].append(record)
    kept = max(by_data.values(), key=lambda group: (group[0].rows.task, len(group), max(r.finished for r in group)))
    if len(by_data) > 1:
        notes.append(
            f"{task}: {len(mine) - len(kept)} records of other rows or targets are left out, "
            f"{len(kept)} of {kept[0].rows.task:,} rows are taken"
        )
    if kept[0].rows.task < kept[0].rows.task_total:
        notes.append(f"{task}: only {kept[0].rows.task:,} of its {kept[0].rows.task_total:,} rows were used")
    parts = {}
    for label in sorted({_label(r) for r in kept}):
        part, more = _part([r for r in kept if _label(r) == label], f"{task}: {label}")
        notes += more
        if part is not None:
            parts[label] = part
    _check_same_rows(parts, task)
    return parts, notes


def _label(record: Record) -> str:
    return record.label if record.spec.tuning is None else f"{record.label} (tuned)"


def _part(records: Sequence[Record], title: str) -> tuple[PredictedRows | None, list[str]]:
    notes = []
    by_configuration: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        spec = record.spec.model_copy(update={"fold": 0, "seed": 0})
        by_configuration[spec.key].append(record)
    chosen = max(by_configuration.values(), key=lambda group: max(r.finished for r in group))
    if len(by_configuration) > 1:
        notes.append(f"{title} has {len(by_configuration)} configurations; the one finished last is taken")
    folds = chosen[0].rows.task_folds
    by_seed: dict[int, list[Record]] = defaultdict(list)
    for record in chosen:
        by_seed[record.spec.seed].append(record)
    complete = [by_seed[seed] for seed in sorted(by_seed) if len(by_seed[seed]) == folds]
    if len(complete) < len(by_seed):
        notes.append(f"{title} lacks folds of {len(by_seed) - len(complete)} of {len(by_seed)} seeds, left out")
    if not complete:
        return None, notes
    rows = [_rows(seed) for seed in complete]
    if any(not np.array_equal(ids, rows[0][0]) or not np.array_equal(y, rows[0][1]) for ids, y, _ in rows):
        raise DataError(f"{title}: its seeds have different test rows or targets; delete these records and run again")
    values = np.stack([values for _, _, values in rows])
    return PredictedRows(rows[0][0], rows[0][1], values, chosen[0].unit, chosen[0].spec.parameters), notes


def _rows(records: Sequence[Record]) -> tuple[npt.NDArray[np.str_], FloatArray, FloatArray]:
    """Ids, targets and predictions of the folds of one seed, sorted by id."""
    ids = np.concatenate([np.array(r.predictions.ids, np.str_) for r in records])
    targets = np.concatenate([np.array(r.predictions.targets, np.float64) for r in records])
    values = np.concatenate([np.array(r.predictions.values, np.float64) for r in records])
    order = np.argsort(ids, kind="stable")
    return ids[order], targets[order], values[order]


def _check_same_rows(parts: Mapping[str, PredictedRows], task: str) -> None:
    names = list(parts)
    for name in names[1:]:
        one, other = parts[names[0]], parts[name]
        if not np.array_equal(one.ids, other.ids) or not np.array_equal(one.targets, other.targets):
            raise DataError(
                f"{task}: {names[0]} and {name} have different test rows or targets; delete the records of one of them "
                "and run it again"
            )


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that the choice of the test rows leaves it: the central 95 % of its draws.

    NaN stands where one is not defined; see `reduction` and `share`.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class PairedErrors:
    """Errors of several models on the same n rows.

    Attributes:
        errors: (n,) absolute errors by name.
        draws: how often n rows are drawn from the n, with replacement.
        seed: of the draws.

    Example:
        >>> errors = PairedErrors({"plain": np.array([4.0, 2.0, 6.0]), "better": np.array([2.0, 1.0, 3.0])})
        >>> errors.estimate(reduction("better", "plain"))
        Estimate(value=0.5, low=0.5, high=0.5)
    """

    errors: Mapping[str, FloatArray]
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = {name: len(errors) for name, errors in self.errors.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise DataError(f"errors must be of the same rows, at least one; these have {lengths or 'none'}")

    @cached_property
    def means(self) -> dict[str, FloatArray]:
        """Mean error by name, an array of no dimension."""
        return {name: np.asarray(np.mean(errors)) for name, errors in self.errors.items()}

    @cached_property
    def resampled(self) -> dict[str, FloatArray]:
        """(draws,) mean errors by name, each draw of the same rows for all."""
        stacked = np.stack([np.asarray(errors, np.float64) for errors in self.errors.values()])
        n = stacked.shape[1]
        rng = np.random.default_rng(self.seed)
        means = np.empty((len(stacked), self.draws))
        step = max(1, _AT_ONCE // n)
        for start in range(0, self.draws, step):
            stop = min(start + step, self.draws)
            times = rng.multinomial(n, np.full(n, 1 / n), size=stop - start)
            means[:, start:stop] = stacked @ times.T / n
        return dict(zip(self.errors, means, strict=True))

    def estimate(self, statistic: Statistic) -> Estimate:
        """A number made of the mean errors, with its interval (percentiles of the draws)."""
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.percentile(statistic(self.resampled), (tail, 100 - tail))
        return Estimate(float(statistic(self.means)), float(low), float(high))


def reduction(name: str, reference: str) -> Statistic:
    """By which share the mean error is smaller than that of a reference: 1 − e / e_reference.

    Defined where the reference has errors; its interval, where it has some in every draw of the rows.
    """
    return lambda errors: 1 - _ratio(errors[name], errors[reference])


def share(name: str, whole: str, reference: str) -> Statistic:
    """Which share of the reduction by `whole` against a reference another model has; above 1 where it has more.

    Defined where `whole` changes the error: (e_reference − e) / (e_reference − e_whole). Its interval is defined only
    where that reduction has the same sign in every draw of the rows. Where it may be zero, the ratio has draws of any
    size and of both signs, and their percentiles bound nothing.
    """
    return lambda errors: _ratio(errors[reference] - errors[name], errors[reference] - errors[whole])


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Quotients of all draws; NaN, all of them, where the denominator is zero in one or changes its sign."""
    if np.min(whole) > 0 or np.max(whole) < 0:
        return np.asarray(part / whole)
    return np.full(np.shape(whole), np.nan)
