"""The composition ceiling: the error on a task that no model which sees the composition alone can undercut.

Such a model predicts the same for all rows of one composition. Where their targets differ, as those of polymorphs do,
an error remains even with the best prediction for each composition.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.group_means import DRAWS, LEVEL, Codes, Floats
from crystalbench.evaluation.pooled import pooled_scores
from crystalbench.evaluation.slices import TaskRows
from crystalbench.sees import Sees
from crystalbench.targets import METRICS

COLUMNS = ("task", "part", "bound", "metric", "value", "low", "high", "rows", "compositions", "data")
"""Columns of a frame of ceilings."""

ALL, POLYMORPHS = "all", "polymorphs"
"""Parts of a task: all tested rows, and those that share their composition with another tested row."""

IN_SAMPLE, LEAVE_ONE_OUT = "in_sample", "leave_one_out"
"""Bounds; see `ceilings`."""

_AT_ONCE = 4_000_000  # resampled counts held in memory


class _Scores(NamedTuple):
    """Scores of n rows, of which a metric is the mean over strata of the means over rows.

    Attributes:
        values: (n,) scores of the rows.
        strata: (n,) the stratum of each row: its class for balanced accuracy, otherwise 0.
        root: whether the metric is the square root of the mean.
    """

    values: Floats
    strata: Codes
    root: bool = False


_Found: TypeAlias = Mapping[tuple[str, str], _Scores]
"""By metric and bound."""


def ceilings(rows: TaskRows, draws: int = DRAWS) -> pd.DataFrame:
    """The composition ceiling of a task.

    ``in_sample`` is the score of the best prediction for each composition, chosen with the targets of all its rows: the
    median for MAE, the mean for RMSE, the most frequent class for accuracy, and for balanced accuracy the class of
    which the composition has the largest share. No single function of the composition is better on these rows. As a
    statement about new rows, the error is too low in expectation: it is fitted to few targets, and compositions with
    one row count as free of error.

    ``leave_one_out`` predicts each row in the same way from the other rows of its composition; of classes that are
    equally good, one is drawn. This is the error of a model that knows the other polymorphs by heart and nothing else,
    so it is too high for the best prediction of new polymorphs of these compositions. Compositions with one row count
    as free of error here as well; the part `POLYMORPHS` has none.

    Args:
        rows: facts of the rows.
        draws: number of bootstrap samples.

    Returns:
        A frame with the columns `COLUMNS` and a row for each part (`ALL`, `POLYMORPHS`), bound and metric: ``mae`` and
        ``rmse`` in the unit of the target for regression, ``accuracy`` and ``balanced_accuracy`` (which is Matbench's
        ``rocauc`` of two classes) for classification. ``low`` and ``high`` are the limits of the central 95 % of
        bootstrap samples of compositions; NaN for a single composition. Without polymorphs, their part is missing.
    """
    targets = rows.targets[rows.tested]
    codes = _numbered(rows.formulas[rows.tested].astype(str))
    lines: list[tuple[object, ...]] = []
    for part, chosen in ((ALL, codes >= 0), (POLYMORPHS, np.bincount(codes)[codes] > 1)):
        if not chosen.any():
            continue
        y, mine = targets[chosen], _numbered(codes[chosen])
        scores = _of_classes(y.astype(np.intp), mine) if rows.classes else _of_values(y, mine)
        counts = (len(mine), int(mine.max()) + 1, rows.data)
        lines += [
            (rows.task, part, bound, metric, *estimate, *counts)
            for (metric, bound), estimate in zip(scores, _estimates(list(scores.values()), mine, draws), strict=True)
        ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _numbered(names: np.ndarray) -> Codes:
    return np.unique(names, return_inverse=True)[1].reshape(-1)


def _of_values(y: Floats, codes: Codes) -> _Found:
    """Errors of the best values."""
    grouped = pd.Series(y).groupby(codes)
    size, total = (grouped.transform(name).to_numpy(np.float64) for name in ("size", "sum"))
    alone = size == 1
    with np.errstate(invalid="ignore", divide="ignore"):
        other_mean = np.where(alone, y, (total - y) / (size - 1))
    medians = {IN_SAMPLE: grouped.transform("median").to_numpy(np.float64), LEAVE_ONE_OUT: _other_medians(y, codes)}
    means = {IN_SAMPLE: total / size, LEAVE_ONE_OUT: other_mean}
    zero = np.zeros(len(y), np.intp)
    return {
        **{("mae", bound): _Scores(np.abs(y - best), zero) for bound, best in medians.items()},
        **{("rmse", bound): _Scores((y - best) ** 2, zero, root=True) for bound, best in means.items()},
    }


def _other_medians(y: Floats, codes: Codes) -> Floats:
    """(n,) median of the other rows of the same composition; the row's own target if there are none."""
    order = np.lexsort((y, codes))
    ordered, sizes = y[order], np.bincount(codes)
    start, others = np.repeat(np.cumsum(sizes) - sizes, sizes), np.repeat(sizes - 1, sizes)
    place = np.arange(len(y)) - start

    def other(k: Codes) -> Floats:
        """The k-th smallest of the others."""
        return np.asarray(ordered[np.minimum(start + k + (k >= place), start + others)])

    found = np.empty_like(y)
    found[order] = np.where(others > 0, (other(np.maximum(others - 1, 0) // 2) + other(others // 2)) / 2, ordered)
    return found


def _of_classes(y: Codes, codes: Codes) -> _Found:
    """Shares of the best classes that are right."""
    table = np.zeros((int(codes.max()) + 1, int(y.max()) + 1))
    np.add.at(table, (codes, y), 1)
    own, totals, zero = np.eye(table.shape[1])[y], table.sum(axis=0), np.zeros(len(y), np.intp)
    alone = table[codes].sum(axis=1) == 1
    found: dict[tuple[str, str], _Scores] = {}
    for metric, weights, strata in (
        ("accuracy", np.ones(len(totals)), zero),
        ("balanced_accuracy", 1 / np.maximum(totals, 1), y),
    ):
        found[metric, IN_SAMPLE] = _Scores(_right(table[codes] * weights, y), strata)
        without = np.where(alone, 1.0, _right((table[codes] - own) * weights, y))
        found[metric, LEAVE_ONE_OUT] = _Scores(without, strata)
    return found


def _right(votes: Floats, y: Codes) -> Floats:
    """(n,) probability that the class with the most votes (n, classes) is right if one of equal ones is drawn."""
    best = votes >= votes.max(axis=1, keepdims=True) * (1 - 1e-12)
    return np.asarray(best[np.arange(len(y)), y] / best.sum(axis=1))


def _estimates(scores: list[_Scores], codes: Codes, draws: int) -> list[tuple[float, float, float]]:
    """Value, lower and upper limit of each metric, from draws of compositions; the same draws for all."""
    n = int(codes.max()) + 1
    sums, counts, ends = [], [], [0]
    for score in scores:
        for stratum in np.unique(score.strata):
            rows = score.strata == stratum
            sums.append(np.bincount(codes[rows], score.values[rows], n).astype(np.float64))
            counts.append(np.bincount(codes[rows], minlength=n).astype(np.float64))
        ends.append(len(sums))
    by_cluster = np.stack([*sums, *counts], axis=1)

    def metrics(times: Floats) -> Floats:
        """(draws, metrics) if each composition occurs so many times, (draws, compositions)."""
        resampled = times @ by_cluster
        with np.errstate(invalid="ignore"):  # a class may be missing from a draw
            means = resampled[:, : len(sums)] / resampled[:, len(sums) :]
        found = [np.nanmean(means[:, a:b], axis=1) for a, b in itertools.pairwise(ends)]
        return np.stack([np.sqrt(f) if s.root else f for f, s in zip(found, scores, strict=True)], axis=1)

    values = metrics(np.ones((1, n)))[0]
    low = high = np.full(len(scores), np.nan)
    if n > 1:
        rng, step = np.random.default_rng(0), max(1, _AT_ONCE // n)
        sizes = [min(step, draws - first) for first in range(0, draws, step)]
        drawn = [metrics(rng.multinomial(n, np.full(n, 1 / n), size).astype(np.float64)) for size in sizes]
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.percentile(np.concatenate(drawn), (tail, 100 - tail), axis=0)
    return [(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]


def with_best(
    frame: pd.DataFrame,
    board: Board,
    predictions: pd.DataFrame,
    rows: TaskRows,
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Ceilings next to the best entry that sees the composition alone.

    Args:
        frame: the ceilings of a task, see `ceilings`.
        board: the board of the task.
        predictions: predictions of the entries of the board, as in `crystalbench.evaluation.slices.slices`.
        rows: facts of the rows of the task.
        names: names of entries by configuration; the name of the model by default.

    Returns:
        The frame with the further columns ``model``, ``score`` and ``unit``. ``model`` is the best ranked entry that
        sees the composition and nothing else, and ``score`` its score over the rows of the part, the mean over its
        seeds. For the part `ALL`, this may be an entry without predictions, with the published mean over the folds; for
        `POLYMORPHS`, it is the best one with predictions. Without such an entry, ``model`` is empty and ``score`` NaN.
        ``unit`` is that of the target for errors, and empty for shares.
    """
    seen = [entry for entry in board.entries if board.is_ranked(entry) and entry.sees is Sees.COMPOSITION]
    known = [entry for entry in seen if (predictions["configuration"] == entry.configuration).any()]
    formulas = pd.Series(rows.formulas[rows.tested], rows.ids[rows.tested].astype(object))
    parts = {ALL: formulas.index, POLYMORPHS: formulas[formulas.duplicated(keep=False)].index}
    pieces = []
    for part, entries in ((ALL, seen), (POLYMORPHS, known)):
        mine, scores, name = frame[frame["part"] == part], {}, ""
        if entries and len(mine):
            best = entries[0]
            name = (names or {}).get(best.configuration, best.model)
            scores = {metric: score.mean for metric, score in best.scores.items()}
            scores = _pooled(predictions, best, parts[part]) if best in known else scores
        pieces.append(mine.assign(model=name, score=[scores.get(str(metric), np.nan) for metric in mine["metric"]]))
    made = pd.concat(pieces)
    return made.assign(unit=[board.unit if METRICS[metric].has_unit else "" for metric in made["metric"]])


def _pooled(predictions: pd.DataFrame, entry: Entry, ids: pd.Index[str]) -> dict[str, float]:
    """Scores of an entry over some rows."""
    mine = predictions[(predictions["configuration"] == entry.configuration) & predictions["id"].isin(ids)]
    (found,) = pooled_scores(mine).values()
    return dict(found)
