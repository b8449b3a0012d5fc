"""Whether two entries differ: a corrected paired t-test over folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.entries import ENTRY, find_entry
from crystalbench.evaluation.metrics import score
from crystalbench.targets import Metric, get_metric, metrics_of

COLUMNS = ("task", "data", *ENTRY, "fold", "seed", "kind", "unit", "main_metric", "rows", "id", "target", "prediction")
"""Columns of the predictions frame that a comparison needs."""

LEVEL = 0.95
SIGNIFICANCE = 1 - LEVEL


@dataclass(frozen=True, eq=False)
class Comparison:
    """The difference between two entries in one metric, ``a`` minus ``b``.

    Attributes:
        a: title of the first entry.
        b: title of the second entry.
        task: name of the task.
        metric: the metric.
        unit: unit of the target.
        mean: mean of the differences over the folds, in the unit of the metric.
        low: lower end of the 95 % interval of the mean.
        high: upper end.
        p: two-sided p value of the corrected t-test.
        table: one row per common fold, with the columns ``rows`` (common test rows), ``a`` and ``b`` (scores, means
            over the seeds), ``difference``, ``seeds_a`` and ``seeds_b``.
    """

    a: str
    b: str
    task: str
    metric: Metric
    unit: str
    mean: float
    low: float
    high: float
    p: float
    table: pd.DataFrame

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

    def __str__(self) -> str:
        """One line: difference, interval, test and verdict."""
        decimals = _decimals(self.high - self.low)
        unit = f" {self.unit}" if self.metric.has_unit and self.unit else ""
        bounds = ", ".join(_number(value, f"z.{decimals}f") for value in (self.low, self.high))
        p = "p < 0.0001" if self.p < 1e-4 else f"p = {self.p:.2g}"
        verdict = f"resolved, {self.better} is better" if self.resolved else "not resolved"
        mean = _number(self.mean, f"+z.{decimals + 1}f")
        test = f"corrected paired t-test over {len(self.table)} folds × {_seeds_text(self.table)}"
        return (
            f"{self.a} − {self.b} on {self.task}: {mean}{unit} {self.metric.label} [{bounds}], {test}, {p}: {verdict}"
        )


def compare(predictions: pd.DataFrame, a: str, b: str, task: str, metric: str | None = None) -> Comparison:
    """Compare two entries on the folds and test rows that both have.

    The score of a fold is computed on the ids that all runs of both entries predicted, and is the mean over the seeds.
    The differences d of J folds are tested with the corrected resampled t-test of Nadeau and Bengio (Machine Learning
    52, 239, 2003): t = mean(d) / sqrt((1/J + n_test/n_train) var(d)) with J − 1 degrees of freedom, where var is the
    sample variance. The term n_test/n_train accounts for the training parts of the folds, which overlap; without it
    the test finds differences far too often. The correction is an approximation: it assumes a correlation of
    n_test / (n_test + n_train) between folds.

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
        a: an entry by title, e.g. ``hybrid``, ``hybrid (tuned)`` or ``hybrid (no_chemistry)``, or by the start of its
            configuration (at least eight characters).
        b: the entry that is subtracted.
        task: name of the task.
        metric: name of a metric; the main metric of the task by default.

    Raises:
        UnknownNameError: there is no such task, entry or metric.
        ConfigError: several configurations have the title, no run is on the official folds, or the metric is not one of
            this kind of target.
        DataError: there are fewer than two common folds, the targets or the folds of a row differ, the same ids are of
            different data, the metric is undefined on a fold, or the frame lacks a column.
    """
    require_columns(predictions, COLUMNS, "predictions")
    of_task = predictions[predictions["task"] == task]
    if of_task.empty:
        raise UnknownNameError("task", task, predictions["task"].unique())
    mine = standard_runs(of_task)
    if mine.empty:
        raise ConfigError(
            f"{task}: the test is for runs on the official folds, which are random and of equal size, and on the "
            f"complete training part; these are on the folds {', '.join(of_task['fold_scheme'].unique())} or fractions"
        )
    (name_a, rows_a), (name_b, rows_b) = find_entry(mine, a), find_entry(mine, b)
    chosen = _metric(rows_a, task, metric)
    _check_rows(rows_a, rows_b, f"{name_a} and {name_b} on {task}")
    _check_data(rows_a, rows_b, f"{name_a} and {name_b} on {task}")
    folds = sorted({int(fold) for fold in set(rows_a["fold"]) & set(rows_b["fold"])})
    table = {fold: _fold(rows_a[rows_a["fold"] == fold], rows_b[rows_b["fold"] == fold], chosen.name) for fold in folds}
    table = {fold: row for fold, row in table.items() if row["rows"]}
    found = pd.DataFrame(list(table.values()), index=pd.Index(list(table), name="fold"))
    if len(found) < 2:
        having = f"fold {found.index[0]}" if len(found) else "none"
        raise DataError(
            f"{name_a} and {name_b} on {task}: a paired test needs at least two folds that both have, and there is "
            f"{having}; run the missing folds first"
        )
    undefined = found.index[found["difference"].isna()]
    if len(undefined):
        raise DataError(
            f"{name_a} and {name_b} on {task}: {chosen.name} is undefined on fold {undefined[0]}; choose another metric"
        )
    ratio = max(_test_over_train(rows, found.index) for rows in (rows_a, rows_b))
    mean, low, high, p = corrected_t_test(found["difference"].to_numpy(), ratio)
    return Comparison(name_a, name_b, task, chosen, str(rows_a["unit"].iloc[0]), mean, low, high, p, found)


def corrected_t_test(differences: npt.ArrayLike, test_over_train: float) -> tuple[float, float, float, float]:
    """Corrected resampled t-test of the mean of differences.

    Source: Nadeau and Bengio, Machine Learning 52, 239 (2003).

    Args:
        differences: shape (J,), one for each fold, J at least 2.
        test_over_train: number of test rows over number of training rows of a fold.

    Returns:
        Mean, lower and upper end of its 95 % interval, and the two-sided p value: 1 if all differences are 0, and 0 if
        they are equal and not 0.
    """
    d = np.asarray(differences, np.float64)
    mean, error = float(d.mean()), math.sqrt((1 / len(d) + test_over_train) * d.var(ddof=1))
    if error == 0:
        return mean, mean, mean, float(mean == 0)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(d) - 1)) * error
    return mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, len(d) - 1))


def _metric(rows: pd.DataFrame, task: str, name: str | None) -> Metric:
    kind = str(rows["kind"].iloc[0])
    metric = get_metric(name or str(rows["main_metric"].iloc[0]))
    if metric not in metrics_of(kind):
        known = ", ".join(m.name for m in metrics_of(kind))
        raise ConfigError(f"{task}: {metric.name} is not a metric of {kind} targets, which have {known}")
    return metric


def _check_rows(rows_a: pd.DataFrame, rows_b: pd.DataFrame, title: str) -> None:
    """Check that rows with the same id have the same target and fold."""
    facts = [rows.drop_duplicates("id").set_index("id")[["target", "fold"]] for rows in (rows_a, rows_b)]
    both = facts[0].join(facts[1], how="inner", lsuffix="_a", rsuffix="_b")
    for what in ("target", "fold"):
        one, other = both[f"{what}_a"], both[f"{what}_b"]
        if (wrong := (one != other).to_numpy()).any():
            raise DataError(
                f"{title}: the {what} of {both.index[wrong][0]} is {one[wrong].iloc[0]:g} in one and "
                f"{other[wrong].iloc[0]:g} in the other; run one of them again with the same data"
            )


def _check_data(rows_a: pd.DataFrame, rows_b: pd.DataFrame, title: str) -> None:
    """Check that entries on different data of the task also predicted different rows, as partial tasks do."""
    data_a, data_b = (str(rows["data"].iloc[0]) for rows in (rows_a, rows_b))
    folds = set(rows_a["fold"]) & set(rows_b["fold"])
    ids_a, ids_b = (set(rows.loc[rows["fold"].isin(folds), "id"]) for rows in (rows_a, rows_b))
    if data_a != data_b and ids_a == ids_b:
        raise DataError(
            f"{title}: they predicted the same rows of different data ({data_a[:8]} and {data_b[:8]}): targets or "
            "structures of the task were changed in between; run one of them again with the same data"
        )


def _fold(rows_a: pd.DataFrame, rows_b: pd.DataFrame, metric: str) -> dict[str, Any]:
    """The row of the table for one fold."""
    runs = [[run.set_index("id") for _, run in rows.groupby("seed")] for rows in (rows_a, rows_b)]
    common = runs[0][0].index
    for run in (*runs[0], *runs[1]):
        if (twice := run.index.duplicated()).any():
            raise DataError(f"{run.index[twice][0]} is predicted twice by one run; pass each record once")
        common = common.intersection(run.index)
    a, b = (
        float(np.mean([_score(run.loc[common], metric) for run in group])) if len(common) else math.nan
        for group in runs
    )
    return {"rows": len(common), "a": a, "b": b, "difference": a - b, "seeds_a": len(runs[0]), "seeds_b": len(runs[1])}


def _score(run: pd.DataFrame, metric: str) -> float:
    kind = str(run["kind"].iloc[0])
    columns = ["prediction"]
    if kind == "multiclass":
        columns = [name for name in map(str, run) if name.startswith("p_") and run[name].notna().any()]
    values = run[columns].to_numpy()
    return score(kind, run["target"].to_numpy(), values if kind == "multiclass" else values[:, 0])[metric]


def _test_over_train(rows: pd.DataFrame, folds: pd.Index) -> float:
    """Test rows over training rows, both means over the folds."""
    test = rows[rows["fold"].isin(folds)].groupby("fold")["id"].nunique().mean()
    train = rows["rows"].iloc[0] - test
    if train <= 0:
        raise DataError(f"{rows['model'].iloc[0]}: {test:g} test rows per fold of {rows['rows'].iloc[0]} rows in all")
    return float(test / train)


def _number(value: float, spec: str) -> str:
    return f"{value:{spec}}".replace("-", "−")


def _decimals(width: float) -> int:
    """Decimals that show two significant digits of half the width of an interval."""
    return 3 if width <= 0 else max(0, 1 - math.floor(math.log10(width / 2)))


def _seeds_text(table: pd.DataFrame) -> str:
    texts = []
    for column in ("seeds_a", "seeds_b"):
        fewest, most = table[column].min(), table[column].max()
        texts.append(f"{most}" if fewest == most else f"{fewest}–{most}")
    return f"{' and '.join(dict.fromkeys(texts))} seed{'s' * (texts != ['1', '1'])}"
