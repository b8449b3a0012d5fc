"""Leaderboards: from the scores of runs to the score of each model on each task, next to published scores."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.board import OURS, PUBLISHED, Board, Difference, Entry, Score, boards_frame
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.kinds import kind_of
from crystalbench.evaluation.pooled import Pooled, pooled_scores
from crystalbench.evaluation.pretraining import verdict
from crystalbench.evaluation.published import merged, published_entries
from crystalbench.sees import Sees, most
from crystalbench.targets import METRICS, OFFICIAL, metrics_of

__all__ = ["OURS", "PUBLISHED", "Board", "Difference", "Entry", "Score", "leaderboard", "leaderboards"]

BOARD = ["task", "fold_scheme", "rows", "data"]
"""Columns in which all runs of a board agree."""

RUN = ["model", "key"]
"""Columns that identify a run."""

STUDY = ["study", "trials", "failed_trials", "tuning_seconds"]
"""Columns about the tuning study of a run."""

UNDEFINED = "undefined"
"""Column with the metrics that are undefined for a run, or NaN if there are none."""

COLUMNS = (
    "task",
    "data",
    "model",
    "view",
    "protocol",
    "fold",
    "seed",
    "metric",
    "score",
    "unit",
    "kind",
    "main_metric",
    "rows",
    "rows_total",
    "folds_total",
    "rows_test",
    "fit_seconds",
    "parameters",
    "study",
    "tuned_trial",
    "trials",
    "failed_trials",
    "tuning_seconds",
    "tuning_gain",
    "tuning_gain_error",
    "settings",
    "key",
    "configuration",
    "untuned",
    "model_name",
    "threads",
    "concurrent",
    "processor",
    "defaults_chosen_here",
    "sees",
    "source",
    "pretrained_on",
    "notes",
    "fold_scheme",
    "train_fraction",
)
"""Columns of the scores frame that leaderboards are made from."""


def leaderboards(scores: pd.DataFrame, predictions: pd.DataFrame | None = None) -> list[Board]:
    """Boards of all tasks, sorted by name of the task; of one task, the official folds and more rows first.

    Runs on different data of a task, such as other rows or corrected targets, and on other folds are on different
    boards. On other folds than the official ones, scores are pooled (see `crystalbench.evaluation.pooled`). Runs on a
    fraction of the training part are left out; `crystalbench.evaluation.learning_curves` has them.

    Args:
        scores: one row per run and metric, e.g. ``load_results("results").scores``. A run that occurs twice counts
            once.
        predictions: the predictions of the runs on other folds than the official ones, if there are such runs, e.g.
            ``load_results("results").predictions_on_other_folds``.

    Raises:
        DataError: a frame lacks a column, or the predictions of runs on other folds are missing.
    """
    require_columns(scores, COLUMNS, "scores")
    scores = scores[scores["train_fraction"] == 1]
    once = scores.drop_duplicates([*RUN, "metric"])
    values = once.pivot_table(index=RUN, columns="metric", values="score", aggfunc="first")
    facts = once.drop(columns=["metric", "score"]).drop_duplicates(RUN)
    undefined = once[once["score"].isna()].groupby(RUN)["metric"].agg(frozenset).rename(UNDEFINED)
    runs = facts.join(values, on=RUN).join(undefined, on=RUN)
    runs = runs.sort_values(["model", "fold", "seed", "key"], kind="stable")
    boards = sorted((group for _, group in runs.groupby(BOARD, sort=False)), key=_place)
    several = Counter(_place(group)[:-1] for group in boards)
    pooled = _pooled(runs, predictions)
    return [_board(group, pooled, is_only=several[_place(group)[:-1]] == 1) for group in boards]


def leaderboard(scores: pd.DataFrame, task: str | None = None, predictions: pd.DataFrame | None = None) -> pd.DataFrame:
    """The leaderboards as one frame, with the published scores.

    Args:
        scores: as in `leaderboards`.
        predictions: as in `leaderboards`.
        task: name of a task; all tasks by default.

    Returns:
        One row per task, entry and metric, best entry first; `crystalbench.evaluation.board.boards_frame` has details.

    Raises:
        UnknownNameError: there are no runs of this task.
        DataError: a frame lacks a column, or the predictions of runs on other folds are missing.
    """
    boards = leaderboards(scores, predictions)
    if task is not None and task not in (known := [board.task for board in boards]):
        raise UnknownNameError("task", task, known)
    return boards_frame([board for board in boards if task in (None, board.task)])


def _place(runs: pd.DataFrame) -> tuple[str, bool, str, int, str]:
    first = runs.iloc[0]
    scheme = str(first["fold_scheme"])
    return str(first["task"]), scheme != OFFICIAL, scheme, -int(first["rows"]), str(first["data"])


def _pooled(runs: pd.DataFrame, predictions: pd.DataFrame | None) -> Pooled:
    """Pooled scores of the entries on other folds than the official ones.

    Raises:
        DataError: the predictions of such a run are missing.
    """
    others = runs[runs["fold_scheme"] != OFFICIAL]
    if others.empty:
        return {}
    known = () if predictions is None else predictions["key"].unique()
    lacking = others[~others["key"].isin(known)]
    if predictions is None or len(lacking):
        first = lacking.iloc[0]
        raise DataError(
            f"{first['task']}: scores of {first['model']} on the folds {first['fold_scheme']} are pooled over samples, "
            "and its predictions are missing; give the results instead of their scores, or these predictions as well"
        )
    return pooled_scores(predictions[predictions["key"].isin(others["key"])])


@dataclass(frozen=True, eq=False)
class _Group:
    """The runs of one entry: they differ in fold and seed only.

    Attributes:
        runs: one row per run, sorted by fold and seed, with a column for each metric.
    """

    runs: pd.DataFrame

    @cached_property
    def first(self) -> dict[str, Any]:
        """Facts of the first run, most of which all runs share."""
        return dict(zip(self.runs.columns, self.runs.iloc[0], strict=True))

    @cached_property
    def repetitions(self) -> dict[int, int]:
        """Number of seeds by fold."""
        return dict(Counter(fold for fold, _ in set(zip(self.runs["fold"], self.runs["seed"], strict=True))))

    def fold_means(self, metric: str) -> dict[int, float] | None:
        """Means over the seeds by fold; None if the metric is undefined for some run."""
        values = self.runs[metric].to_numpy() if metric in self.runs else np.array([np.nan])
        if np.isnan(values).any():
            return None
        folds = self.runs["fold"].to_numpy()
        return {int(fold): float(np.mean(values[folds == fold])) for fold in np.unique(folds)}

    def seed_scores(self, metric: str) -> dict[int, tuple[float, ...]]:
        """Scores of the seeds by fold."""
        found: dict[int, list[float]] = defaultdict(list)
        for fold, value in zip(self.runs["fold"].tolist(), self.runs[metric].tolist(), strict=True):
            found[int(fold)].append(float(value))
        return {fold: tuple(values) for fold, values in found.items()}

    def pooled_score(self, metric: str, value: float) -> Score:
        """A pooled score, with the means over the seeds by fold; NaN where the metric is undefined on a fold."""
        found = self.runs.groupby("fold")[metric].mean() if metric in self.runs else pd.Series(np.nan, [])
        return Score(value, np.nan, {int(str(fold)): float(mean) for fold, mean in found.items()}, pooled=True)

    def undefined(self, metric: str) -> tuple[int, ...]:
        """The folds on which a metric is undefined."""
        lacking = [isinstance(names, frozenset) and metric in names for names in self.runs[UNDEFINED]]
        return tuple(sorted({int(fold) for fold in self.runs["fold"][lacking]}))

    @property
    def concurrent(self) -> int | None:
        """The largest number of processes that computed runs at the same time; None if it is unknown for some run."""
        return None if self.runs["concurrent"].isna().any() else int(self.runs["concurrent"].max())

    @property
    def hardware(self) -> frozenset[str]:
        """The processors and numbers of threads of the runs; without those of unknown processors."""
        pairs = zip(self.runs["processor"], self.runs["threads"], strict=True)
        return frozenset(f"{name}, {n} thread{'s' * (n != 1)}" for name, n in pairs if name)

    def settings(self) -> dict[str, str]:
        """Versions, protocol and hyperparameters as text, by name."""
        return {name: str(value) for name, value in json.loads(self.first["settings"]).items()}


def _board(runs: pd.DataFrame, pooled: Pooled, *, is_only: bool) -> Board:
    groups = {key: _Group(group) for key, group in runs.groupby(["model", "configuration"], sort=False)}
    first = runs.iloc[0]
    task, metric, kind, unit = (str(first[name]) for name in ("task", "main_metric", "kind", "unit"))
    rows, rows_total, folds_total = (int(first[name]) for name in ("rows", "rows_total", "folds_total"))
    by_row = []
    for name, group in _named(list(groups.values())):
        configuration, untuned = group.first["configuration"], group.first["untuned"]
        default = None if untuned == configuration else groups.get((group.first["model"], untuned))
        by_row.append(_entry(name, group, default, pooled))
    higher_is_better = METRICS[metric].higher_is_better

    def order(entry: Entry) -> tuple[bool, bool, float, str]:
        score = entry.scores.get(metric)
        value = float("inf") if score is None else (-score.mean if higher_is_better else score.mean)
        incomparable = rows < rows_total and not entry.by_row
        return (incomparable, bool(entry.refused) or entry.folds < folds_total, value, entry.model)

    scheme = str(first["fold_scheme"])
    theirs = published_entries(task, rows_total) if scheme == OFFICIAL else []
    published = [replace(entry, sees=kind_of(entry.model, task)) for entry in theirs]
    everything = merged(by_row, published, folds_total)
    entries = sorted((_judged(entry, task) for entry in everything), key=order)
    return Board(
        task=task,
        data=str(first["data"]),
        is_only=is_only,
        metric=metric,
        kind=kind,
        unit=unit,
        rows=rows,
        rows_total=rows_total,
        folds_total=folds_total,
        entries=entries,
        test_rows=dict(zip(runs["fold"].tolist(), runs["rows_test"].tolist(), strict=True)),
        fold_scheme=scheme,
    )


def _judged(entry: Entry, task: str) -> Entry:
    """An entry with what its pretraining means on a task."""
    found = verdict(entry.pretrained_on, task)
    return replace(entry, refused=found.refused, flagged=found.flagged)


def _named(groups: Sequence[_Group]) -> list[tuple[str, _Group]]:
    """Groups with names that differ."""
    alike: dict[tuple[str, ...], list[_Group]] = defaultdict(list)
    for group in groups:
        alike[tuple(group.first[name] for name in ("model", "view", "protocol"))].append(group)
    named = []
    for (label, *_), same in alike.items():
        if len(same) == 1:
            named.append((label, same[0]))
        else:
            settings = [group.settings() for group in same]
            named += [
                (f"{label} ({_difference(mine, settings) or group.first['key'][:8]})", group)
                for group, mine in zip(same, settings, strict=True)
            ]
    return named


def _difference(mine: dict[str, str], settings: Sequence[dict[str, str]]) -> str:
    """The settings in which one group differs from others of the same label, e.g. ``layers=2``."""
    names = [name for name in mine if len({other.get(name) for other in settings}) > 1]
    return ", ".join(f"{name}={mine[name]}" for name in names)


def _entry(name: str, group: _Group, default: _Group | None, pooled: Pooled) -> Entry:
    first, runs = group.first, group.runs
    metrics = [metric.name for metric in metrics_of(first["kind"])]
    scores = _scores(group, pooled, metrics)
    undefined = {metric: folds for metric in metrics if (folds := group.undefined(metric))}
    if first["fold_scheme"] != OFFICIAL:  # a pooled score is defined even if that of a fold is not
        undefined = {metric: folds for metric, folds in undefined.items() if metric not in scores}
    parameters = runs["parameters"].dropna()
    tuned = runs.dropna(subset="study")
    studied = tuned.dropna(subset="tuning_gain")
    studies = {study["study"]: study for study in tuned[STUDY].to_dict("records")}  # runs may share a study
    return Entry(
        model=name,
        protocol=str(first["protocol"]),
        view=str(first["view"]),
        scores=scores,
        folds=len(group.repetitions),
        seeds=(min(group.repetitions.values()), max(group.repetitions.values())),
        rows=int(first["rows"]),
        rows_total=int(first["rows_total"]),
        fit_seconds=None if runs["fit_seconds"].isna().any() else float(np.mean(runs["fit_seconds"].to_numpy())),
        parameters=int(parameters.max()) if len(parameters) else None,
        source=str(first["source"]),
        note=str(first["notes"]),
        trials=sum(study["trials"] for study in studies.values()) if studies else None,
        failed_trials=sum(study["failed_trials"] for study in studies.values()),
        tuning_seconds=sum(study["tuning_seconds"] for study in studies.values()) if studies else None,
        kept=frozenset(int(fold) for fold in tuned.loc[tuned["tuned_trial"] == 0, "fold"]),
        gain={} if default is None else _gains(scores, _scores(default, pooled, metrics)),
        inner_gain={
            int(fold): (float(gain), float(error))
            for fold, gain, error in zip(
                studied["fold"], studied["tuning_gain"], studied["tuning_gain_error"], strict=True
            )
        },
        model_name=str(first["model_name"]),
        fold_numbers=tuple(sorted(map(int, group.repetitions))),
        undefined=undefined,
        hardware=group.hardware,
        concurrent=group.concurrent,
        defaults_chosen_here=bool(runs["defaults_chosen_here"].any()),
        sees=_seen(runs),
        configuration=str(first["configuration"]),
        by_row=True,
        pretrained_on=tuple(sorted({name for text in runs["pretrained_on"] for name in text.split(", ") if name})),
    )


def _seen(runs: pd.DataFrame) -> Sees:
    """What the runs of an entry saw. Records of format 4 and before do not say; then it is known of our own models."""
    found = most({Sees(kind) for kind in runs["sees"]})
    if found is not Sees.UNDECLARED or runs["view"].iloc[0] != FULL:
        return found
    first = runs.iloc[0]
    name = first["model"] if first["source"] == PUBLISHED else first["model_name"]
    return kind_of(str(name), str(first["task"]))


def _score(over_folds: dict[int, float], seeds: Mapping[int, tuple[float, ...]] | None = None) -> Score:
    values = np.array(list(over_folds.values()))
    return Score(float(values.mean()), float(values.std()), over_folds, seeds or {})


def _scores(group: _Group, pooled: Pooled, metrics: Sequence[str]) -> dict[str, Score]:
    """The scores of an entry by metric: means over folds, or pooled over samples on other folds."""
    if group.first["fold_scheme"] == OFFICIAL:
        return {
            metric: _score(over_folds, group.seed_scores(metric))
            for metric in metrics
            if (over_folds := group.fold_means(metric))
        }
    values = pooled[str(group.first["model"]), str(group.first["configuration"])]
    return {metric: group.pooled_score(metric, values[metric]) for metric in metrics if np.isfinite(values[metric])}


def _gains(tuned: dict[str, Score], default: dict[str, Score]) -> dict[str, Difference]:
    pairs = {metric: (score, default[metric]) for metric, score in tuned.items() if metric in default}
    differences = {metric: score.minus(without) for metric, (score, without) in pairs.items()}
    return {metric: difference for metric, difference in differences.items() if difference}
