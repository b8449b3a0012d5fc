"""The published scores of Matbench v0.1, fold by fold.

The table comes from github.com/materialsproject/matbench at commit 936176db18ca4cd7b38cbd957c017a5bac770c6b (MIT
licence): from the results files and, for the six submissions whose results file is missing there, from the tables of
the documentation. ``benchmarks/make_published.py`` writes it. ``rocauc`` is computed from thresholded labels; see
`crystalbench.evaluation.metrics`.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.board import PUBLISHED, Entry, Score
from crystalbench.evaluation.pretraining import PublishedFacts, published_facts
from crystalbench.targets import METRICS

_HISTORY = " [history]"
"""End of the names of submissions that are in the repository's history only."""

FILE = "matbench_v0.1_published.csv"
"""Name of the packaged table."""

FOLD_COLUMNS = tuple(f"fold_{fold}" for fold in range(5))
"""Columns with the scores of the folds."""

DOUBTS = {
    ("matbench_mp_is_metal", "CGCNN v2019"): "stands out from all other entries of this task and could not be checked",
}
"""Reasons to doubt published entries, by task and algorithm."""


def published_scores() -> pd.DataFrame:
    """Every published entry.

    Returns:
        One row per task, algorithm and metric, with the columns

        * ``task``, for instance ``matbench_phonons``; ``algorithm``, the submission's own name; ``metric``: ``mae``,
          ``rmse``, ``max_error`` in the task's unit, ``accuracy``, ``balanced_accuracy``, ``f1``, ``rocauc``
        * ``mean`` and ``std`` (population) over the folds; ``fold_0`` to ``fold_4``
        * ``source``: ``json`` (recorded in the results file, 7 digits here), ``docs`` (4 decimals) or ``history``
          (a results file that is not on the main branch, or no longer)
        * ``leaderboard``: whether the entry is on the leaderboard; false for those from history
        * ``note``: a reason for doubt, or empty.
    """
    return _table().copy()


def published(task: str, metric: str) -> pd.DataFrame:
    """The published entries of one task under one metric, best first.

    Args:
        task: Matbench's name of the task, for instance ``matbench_phonons``.
        metric: a metric of the table, for instance ``mae``.

    Returns:
        The rows of `published_scores`, sorted by ``mean``, numbered from 0.

    Raises:
        UnknownNameError: there is no such task or metric in the table.
        ConfigError: the task has no such metric.
    """
    table = _table()
    if task not in set(table["task"]):
        raise UnknownNameError("published task", task, table["task"].unique())
    if metric not in set(table["metric"]):
        raise UnknownNameError("published metric", metric, table["metric"].unique())
    rows = table[(table["task"] == task) & (table["metric"] == metric)]
    if rows.empty:
        known = ", ".join(table.loc[table["task"] == task, "metric"].unique())
        raise ConfigError(f"The published scores of {task} have no {metric}; they have {known}.")
    ascending = not METRICS[metric].higher_is_better
    return rows.sort_values("mean", ascending=ascending, kind="stable").reset_index(drop=True)


def published_entries(task: str, rows_total: int) -> list[Entry]:
    """The published entries of a task as entries of a leaderboard, sorted by algorithm; empty for other tasks.

    Args:
        task: name of the task.
        rows_total: rows of the complete task.
    """
    table = _table()
    table = table[table["task"] == task]
    # A submission kept in the repository's history as well as on the leaderboard is listed once.
    listed = set(table.loc[table["leaderboard"], "algorithm"])
    table = table[table["leaderboard"] | ~table["algorithm"].str.removesuffix(_HISTORY).isin(listed)]
    entries = []
    for algorithm, lines in table.groupby("algorithm", sort=True):
        notes = [note for note in lines["note"] if note]
        folds = tuple(_by_fold(lines.iloc[0].to_dict()))
        entries.append(
            Entry(
                model=str(algorithm),
                protocol="default",
                view="full",
                scores={
                    str(line["metric"]): Score(float(line["mean"]), float(line["std"]), _by_fold(line))
                    for line in lines.to_dict("records")
                },
                folds=len(folds),
                fold_numbers=folds,
                seeds=(1, 1),
                rows=rows_total,
                rows_total=rows_total,
                fit_seconds=None,
                parameters=None,
                source=PUBLISHED,
                note=notes[0] if notes else ("" if lines["leaderboard"].all() else "not on the leaderboard"),
            )
        )
    return entries


def merged(by_row: Sequence[Entry], published: Sequence[Entry], folds_total: int) -> list[Entry]:
    """Entries with predictions and published scores, without the scores of entries whose predictions were imported.

    Args:
        by_row: entries whose scores are computed from predictions of the board's rows.
        published: entries of `published_entries`.
        folds_total: number of folds of the task.

    Returns:
        All entries. An imported entry replaces the published scores of the same name if it has all rows and folds, and
        takes over their note and what is known about the algorithm (`crystalbench.evaluation.pretraining`).
    """
    known = {entry.model.removesuffix(_HISTORY): entry for entry in published}
    kept, replaced = [], set()
    for entry in by_row:
        name = entry.model.removesuffix(_HISTORY)
        if entry.source == PUBLISHED:
            facts = published_facts().get(name, PublishedFacts())
            parts = (known[name].note if name in known else "", facts.note, entry.note)
            note = "; ".join(dict.fromkeys(part for part in parts if part))
            seen = tuple(sorted({*entry.pretrained_on, *facts.pretrained_on}))
            entry = replace(entry, note=note, pretrained_on=seen)
            if entry.rows == entry.rows_total and entry.folds == folds_total:
                replaced.add(name)
        kept.append(entry)
    return [*kept, *(entry for name, entry in known.items() if name not in replaced)]


def _by_fold(line: Mapping[Hashable, Any]) -> dict[int, float]:
    """Scores of a line of the table by fold."""
    return {fold: float(line[name]) for fold, name in enumerate(FOLD_COLUMNS) if not np.isnan(line[name])}


@functools.cache
def _table() -> pd.DataFrame:
    file = importlib.resources.files("crystalbench.evaluation") / "data" / FILE
    numbers = dict.fromkeys(("mean", "std", *FOLD_COLUMNS), np.float64)
    with file.open("r", encoding="utf-8") as stream:
        table = pd.read_csv(stream, comment="#", dtype={**numbers, "leaderboard": np.bool_})
    keys = zip(table["task"], table["algorithm"], strict=True)
    table["note"] = [DOUBTS.get(key, "") for key in keys]
    return table
