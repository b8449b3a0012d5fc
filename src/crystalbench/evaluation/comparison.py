"""Whether two entries differ on a task: tests over folds and seeds, and an interval over test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.bootstrap import RowInterval, has_losses, row_interval
from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.common_rows import CommonRows, check_data, check_rows, test_over_train
from crystalbench.evaluation.entries import ENTRY, find_entry, title_of
from crystalbench.evaluation.significance import SIGNIFICANCE, CorrectedTest, FoldScores, paired_test
from crystalbench.targets import Metric, get_metric, metrics_of

COLUMNS = ("task", "data", *ENTRY, "fold", "seed", "kind", "unit", "main_metric", "rows", "id", "target", "prediction")
"""Columns of the predictions frame that a comparison needs."""

ROPE = 0.01
"""Practical equivalence: this share of the better error, or this difference between scores whose best value is 1."""


class Probabilities(NamedTuple):
    """Posterior probabilities of the Bayesian correlated t-test; their sum is 1.

    Attributes:
        a_better: that the first entry is better by more than the region of practical equivalence.
        equal: that the difference is within the region.
        b_better: that the second entry is better by more than the region.
    """

    a_better: float
    equal: float
    b_better: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """The difference between two entries in one metric, ``a`` minus ``b``.

    Attributes:
        a: title of the first entry.
        b: title of the second entry.
        task: name of the task.
        metric: the metric.
        unit: unit of the target.
        test: the corrected t-test over folds and seeds.
        rope: half the width of the region of practical equivalence, in the unit of the metric.
        seed_std_a: standard deviation of the first entry's score of a fold between seeds, pooled over the folds; NaN if
            it has one seed in every fold.
        seed_std_b: that of the second entry.
        row_interval: how far the difference depends on which test rows there are; None for metrics that are no function
            of means over rows, and where there are no predictions.
        table: one row per common fold, with the columns ``rows`` (common test rows), ``a`` and ``b`` (scores, means
            over the seeds), ``difference``, ``seeds_a`` and ``seeds_b``.
    """

    a: str
    b: str
    task: str
    metric: Metric
    unit: str
    test: CorrectedTest
    rope: float
    seed_std_a: float
    seed_std_b: float
    row_interval: RowInterval | None
    table: pd.DataFrame

    @property
    def mean(self) -> float:
        """Mean of the differences over the folds, in the unit of the metric."""
        return float(self.test.mean)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(self.test.error)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of the mean."""
        return float(self.test.low)

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval of the mean."""
        return float(self.test.high)

    @property
    def p(self) -> float:
        """Two-sided p value of the corrected t-test."""
        return float(self.test.p)

    @property
    def probabilities(self) -> Probabilities:
        """What the Bayesian correlated t-test says with the region of practical equivalence."""
        lower, upper = (float(self.test.below(value)) for value in (-self.rope, self.rope))
        better, worse = (1 - upper, lower) if self.metric.higher_is_better else (lower, 1 - upper)
        return Probabilities(better, upper - lower, worse)

    @property
    def resolved(self) -> bool:
        """Whether the entries differ at the 5 % level."""
        return self.p < SIGNIFICANCE

    @property
    def better(self) -> str | None:
        """Title of the better entry; None unless the difference is resolved."""
        if not self.resolved:
            return None
        return self.a if (self.mean > 0) == self.metric.higher_is_better else self.b

    @property
    def seeds_text(self) -> str:
        """Numbers of seeds per fold: ``3 seeds`` for both, or ``1–3 and 1 seeds``."""
        texts = []
        for column in ("seeds_a", "seeds_b"):
            fewest, most = self.table[column].min(), self.table[column].max()
            texts.append(f"{most}" if fewest == most else f"{fewest}–{most}")
        return f"{' and '.join(dict.fromkeys(texts))} seed{'s' * (texts != ['1', '1'])}"

    def __str__(self) -> str:
        """One line: difference, interval, test and verdict."""
        decimals = decimals_for(self.high - self.low)
        unit = f" {self.unit}" if self.metric.has_unit and self.unit else ""
        bounds = ", ".join(signed(value, decimals, plus=False) for value in (self.low, self.high))
        verdict = f"resolved, {self.better} is better" if self.resolved else "not resolved"
        mean = signed(self.mean, decimals + 1)
        test = f"corrected paired t-test over {len(self.table)} folds × {self.seeds_text}"
        amount = f"{mean}{unit} {self.metric.label} [{bounds}]"
        return f"{self.a} − {self.b} on {self.task}: {amount}, {test}, {p_text(self.p)}: {verdict}"


def compare(
    predictions: pd.DataFrame,
    a: str,
    b: str,
    task: str,
    metric: str | None = None,
    *,
    formulas: Mapping[str, str] | None = None,
    rope: float | None = None,
) -> Comparison:
    """Compare two entries on the folds and test rows that both have.

    The score of a fold is computed on the ids that all runs of both entries predicted, and is the mean over the seeds.
    The differences d of J folds are tested with the corrected resampled t-test of Nadeau and Bengio (Machine Learning
    52, 239, 2003): t = mean(d) / sqrt((1/J + n_test/n_train) var(d)) with J − 1 degrees of freedom, where var is the
    sample variance. The term n_test/n_train accounts for the training parts of the folds, which overlap; without it
    the test finds differences far too often. The correction is an approximation: it assumes a correlation of
    n_test / (n_test + n_train) between folds. If there are several seeds, var is not taken to be smaller than what the
    variance between seeds contributes to it; see `crystalbench.evaluation.significance.paired_test`.

    With one seed per fold, the differences contain the randomness of training (initial weights, order of batches), but
    only one draw of it. It cannot then be separated from the effect of the training rows, and two runs of the same
    model with other seeds can differ in the same direction in all folds by chance. Several seeds per fold reduce this
    part and show how large it is.

    Two differences in training are not corrected for. If the entries used different rows of the task, they are scored
    on common ids, but their training parts differ as well. An entry that was tuned on one fold for all has an
    advantage on the other folds, whose test rows its search has seen.

    Only runs on the official folds and the complete training part are compared: other folds are neither random nor of
    equal size, as the test assumes.

    Args:
        predictions: one row per predicted sample, e.g. ``load_results("results").predictions``.
        a: an entry by title, e.g. ``hybrid``, ``hybrid (tuned)`` or ``hybrid (anonymous)``, or by the start of its
            configuration (at least eight characters).
        b: the entry that is subtracted.
        task: name of the task.
        metric: name of a metric; the main metric of the task by default.
        formulas: formula by id, for the bootstrap over test rows: rows of one composition are drawn together. By
            default, rows are drawn one by one.
        rope: half the width of the region of practical equivalence, in the unit of the metric; by default, 1 % of the
            better error, or 0.01 for metrics of which higher scores are better.

    Raises:
        UnknownNameError: there is no such task, entry or metric.
        ConfigError: several configurations have the title, no run is on the official folds, the metric is not one of
            this kind of target, or the region is negative.
        DataError: there are fewer than two common folds, the targets or the folds of a row differ, the same ids are of
            different data, the metric is undefined on a fold, a formula is missing, or the frame lacks a column.
    """
    require_columns(predictions, COLUMNS, "predictions")
    mine = _comparable_runs(predictions, task)
    (name_a, rows_a), (name_b, rows_b) = find_entry(mine, a), find_entry(mine, b)
    chosen = _metric(rows_a, task, metric)
    title = f"{name_a} and {name_b} on {task}"
    check_rows(rows_a, rows_b, title)
    check_data(rows_a, rows_b, title)
    numbers = sorted({int(fold) for fold in set(rows_a["fold"]) & set(rows_b["fold"])})
    common = [CommonRows.of(fold, rows_a[rows_a["fold"] == fold], rows_b[rows_b["fold"] == fold]) for fold in numbers]
    common = [fold for fold in common if len(fold.ids)]
    folds = [_ScoredFold(fold.number, len(fold.ids), *fold.scores(chosen.name)) for fold in common]
    names = (name_a, name_b, task, chosen, str(rows_a["unit"].iloc[0]))
    used = [fold.number for fold in common]
    ratio = max(test_over_train(rows, used) for rows in (rows_a, rows_b)) if used else 0.0
    found = _comparison(names, folds, ratio, rope)
    if not has_losses(chosen.name):
        return found
    losses = [fold.losses(chosen.name) for fold in common]
    return replace(found, row_interval=row_interval(chosen.name, losses, formulas))


def compare_on_board(
    board: Board, a: Entry, b: Entry, metric: str | None = None, *, rope: float | None = None
) -> Comparison:
    """Compare two entries of a board by their scores of the folds, for entries whose predictions are not there.

    Published entries are an example. The scores of a fold are of the same test rows, since the board has one set of
    rows and folds. There is no bootstrap over rows.

    Args:
        board: the board.
        a: one of its entries.
        b: the entry that is subtracted.
        metric: name of a metric; the main metric of the task by default.
        rope: see `compare`.

    Raises:
        UnknownNameError: there is no such metric.
        DataError: an entry is of other rows than the board, its metric is undefined or unknown, or there are fewer than
            two common folds.
    """
    chosen = get_metric(metric or board.metric)
    name_a, name_b = (title_of(entry.model, entry.protocol, entry.view) for entry in (a, b))
    title = f"{name_a} and {name_b} on {board.task}"
    for entry, name in ((a, name_a), (b, name_b)):
        if not board.is_comparable(entry):
            raise DataError(
                f"{title}: {name} is of all {board.rows_total:,} rows, the other one of {board.rows:,}; their scores "
                "cannot be compared without the predictions"
            )
        if chosen.name not in entry.scores:
            raise DataError(f"{title}: {chosen.name} of {name} is undefined, or was not published")
    one, other = a.scores[chosen.name], b.scores[chosen.name]
    folds = [
        _ScoredFold(
            fold, round(board.test_rows.get(fold, board.mean_test_rows)), one.seeds_of(fold), other.seeds_of(fold)
        )
        for fold in sorted(one.folds.keys() & other.folds.keys())
    ]
    return _comparison((name_a, name_b, board.task, chosen, board.unit), folds, board.test_over_train, rope)


def _comparable_runs(predictions: pd.DataFrame, task: str) -> pd.DataFrame:
    """The predictions of the runs of a task that can be compared.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: no run is on the official folds and the complete training part.
    """
    of_task = predictions[predictions["task"] == task]
    if of_task.empty:
        raise UnknownNameError("task", task, predictions["task"].unique())
    mine = standard_runs(of_task)
    if mine.empty:
        raise ConfigError(
            f"{task}: the test is for runs on the official folds, which are random and of equal size, and on the "
            f"complete training part; these are on the folds {', '.join(of_task['fold_scheme'].unique())} or fractions"
        )
    return mine


@dataclass(frozen=True)
class _ScoredFold:
    """Scores of two entries on one fold, by seed."""

    number: int
    rows: int
    a: Sequence[float]
    b: Sequence[float]


def _comparison(
    names: tuple[str, str, str, Metric, str],
    folds: Sequence[_ScoredFold],
    test_over_train: float,
    rope: float | None,
) -> Comparison:
    """Test the differences of folds; names are those of the entries, task, metric and unit."""
    a, b, task, metric, unit = names
    title = f"{a} and {b} on {task}"
    if rope is not None and not 0 <= rope < math.inf:
        raise ConfigError(f"rope = {rope}: the region of practical equivalence must be a number that is not negative")
    if len(folds) < 2:
        having = f"fold {folds[0].number}" if folds else "none"
        raise DataError(
            f"{title}: a paired test needs at least two folds that both have, and there is {having}; run the missing "
            "folds first"
        )
    for fold in folds:
        if np.isnan([*fold.a, *fold.b]).any():
            raise DataError(f"{title}: {metric.name} is undefined on fold {fold.number}; choose another metric")
    one, other = FoldScores.of([fold.a for fold in folds]), FoldScores.of([fold.b for fold in folds])
    table = pd.DataFrame(
        {
            "rows": [fold.rows for fold in folds],
            "a": one.means,
            "b": other.means,
            "difference": one.means - other.means,
            "seeds_a": [len(fold.a) for fold in folds],
            "seeds_b": [len(fold.b) for fold in folds],
        },
        index=pd.Index([fold.number for fold in folds], name="fold"),
    )
    if rope is None:
        rope = ROPE if metric.higher_is_better else ROPE * float(min(one.means.mean(), other.means.mean()))
    everywhere = np.ones(len(folds), np.bool_)
    std_a, std_b = (float(np.sqrt(scores.seed_variance(everywhere))) for scores in (one, other))
    test = paired_test(one, other, test_over_train)
    return Comparison(a, b, task, metric, unit, test, rope, std_a, std_b, None, table)


def _metric(rows: pd.DataFrame, task: str, name: str | None) -> Metric:
    kind = str(rows["kind"].iloc[0])
    metric = get_metric(name or str(rows["main_metric"].iloc[0]))
    if metric not in metrics_of(kind):
        known = ", ".join(m.name for m in metrics_of(kind))
        raise ConfigError(f"{task}: {metric.name} is not a metric of {kind} targets, which have {known}")
    return metric


def signed(value: float, decimals: int, *, plus: bool = True) -> str:
    """A number with a typographic minus sign; positive ones with a plus sign unless it is not wanted."""
    return f"{value:{'+' * plus}z.{decimals}f}".replace("-", "−")


def decimals_for(width: float) -> int:
    """Decimals that show two significant digits of half the width of an interval."""
    return 3 if width <= 0 else max(0, 1 - math.floor(math.log10(width / 2)))


def p_text(p: float) -> str:
    """A p value with two digits: ``p = 0.047``."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
