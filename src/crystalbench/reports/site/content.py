"""What the site shows: boards, predictions and further tables of one folder of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from crystalbench.errors import RecordError
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.columns import standard_runs
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.learning_curves import learning_curves
from crystalbench.reports.csv import read_frame
from crystalbench.reports.sections import Section
from crystalbench.reports.site.links import Links
from crystalbench.results.loading import Results
from crystalbench.tasks.suffixes import divided

Predicted: TypeAlias = list[tuple[Entry, pd.DataFrame]]
"""Entries, each with its predictions: ``id``, ``fold``, ``target`` and ``prediction``, the mean over the seeds."""

TABLES = ("slices", "ceiling", "calibration", "conformal", "across")
"""Names of CSV files in a folder of results that pages show where they exist."""


@dataclass(frozen=True)
class Facts:
    """Facts of the rows of a task, which records do not contain.

    Attributes:
        formulas: formula by id.
    """

    formulas: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that pages are made of.

    Attributes:
        boards: all boards.
        predictions: one row per predicted sample (see `crystalbench.results.frames.predictions_frame`).
        scores: one row per run and metric (see `crystalbench.results.frames.scores_frame`).
        commands: a command that repeats the first run of an entry, by its configuration.
        facts: facts of rows by name of the task, without what follows it in the name of a task made of it.
        tables: further tables by name, see `TABLES`.
        curves: the learning curves; empty if there are none.
        probed: what probes report of their tables, by their description.
    """

    boards: Sequence[Board]
    predictions: pd.DataFrame
    scores: pd.DataFrame
    commands: dict[str, str]
    facts: dict[str, Facts]
    tables: dict[str, pd.DataFrame]
    curves: pd.DataFrame
    probed: Mapping[str, Sequence[Section]] = field(default_factory=dict)

    @cached_property
    def links(self) -> Links:
        """Addresses of the pages."""
        return Links.of(self.boards)

    @cached_property
    def predicted(self) -> list[Predicted]:
        """The entries of each board whose predictions are known, best first, without the dummies."""
        known = self.predictions.groupby(["task", "data", "fold_scheme"], sort=False)
        groups = dict(iter(known))
        return [_predicted(board, groups.get((board.task, board.data, board.fold_scheme))) for board in self.boards]

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Versions, protocol and hyperparameters of each configuration, by its hash."""
        once = self.scores.drop_duplicates("configuration")
        return {str(c): json.loads(s) for c, s in zip(once["configuration"], once["settings"], strict=True)}

    def table(self, name: str) -> pd.DataFrame:
        """A further table; empty if there is none."""
        return self.tables.get(name, pd.DataFrame())

    def formulas(self, board: Board) -> Mapping[str, str]:
        """Formulas of the rows of a board's task by id; empty if they are not known."""
        return self.facts.get(divided(board.task)[0], Facts()).formulas


def _predicted(board: Board, frame: pd.DataFrame | None) -> Predicted:
    if frame is None:
        return []
    by_entry = dict(iter(frame.groupby(["configuration", "view"], sort=False)))
    entries = [(e, by_entry.get((e.configuration, e.view))) for e in board.entries if e.by_row and not e.is_dummy]
    return [(entry, _means(rows)) for entry, rows in entries if rows is not None]


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """The means over the seeds, one row per id."""
    rows = rows[["id", "fold", "target", "prediction"]]
    if not rows["id"].duplicated().any():
        return rows.sort_values("id", kind="stable", ignore_index=True)
    kept = {"fold": "first", "target": "first", "prediction": "mean"}
    return rows.groupby("id", sort=True).agg(kept).reset_index()


def read_content(
    results: Results,
    folder: Path,
    facts: dict[str, Facts] | None = None,
    probed: Mapping[str, Sequence[Section]] | None = None,
) -> Content:
    """Collect the content of the site.

    Args:
        results: the results.
        folder: their folder, in which further tables are looked for.
        facts: facts of rows, as of `crystalbench.reports.site.facts_of`.
        probed: sections of probes by their description, see `crystalbench.probes.written_sections`.

    Raises:
        DataError: a table cannot be read.
    """
    standard = standard_runs(results.scores)
    predictions = results.predictions
    return Content(
        boards=leaderboards(results.scores, results.predictions_on_other_folds),
        predictions=predictions[predictions["train_fraction"] == 1],
        scores=standard,
        commands=_commands(results, standard),
        facts=facts or {},
        tables={name: read_frame(path) for name in TABLES if (path := folder / f"{name}.csv").is_file()},
        curves=learning_curves(results.scores, results.predictions_on_other_folds),
        probed=probed or {},
    )


def _commands(results: Results, scores: pd.DataFrame) -> dict[str, str]:
    """Commands of one run of each entry; none for runs whose file was deleted since its scores were read."""
    first = scores[scores["source"] == OURS].drop_duplicates(["task", "data", "configuration"])
    entries = dict(zip(first["key"], first["configuration"], strict=True))
    try:
        return {entries[record.key]: record.command for record in results.select(key=list(entries)).records}
    except RecordError:
        return {}
