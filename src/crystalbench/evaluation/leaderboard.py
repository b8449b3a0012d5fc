"""Leaderboards: from the scores of runs to the score of each model on each task, next to published scores."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.board import OURS, PUBLISHED, Board, Difference, Entry, Score
from crystalbench.evaluation.board_frames import boards_frame
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.entry_runs import UNDEFINED, EntryRuns
from crystalbench.evaluation.kinds import kind_of
from crystalbench.evaluation.pooled import Pooled, pooled_scores
from crystalbench.evaluation.pretraining import verdict
from crystalbench.evaluation.published import merged, published_entries
from crystalbench.evaluation.stacks import short_members
from crystalbench.targets import METRICS, OFFICIAL, metrics_of

__all__ = ["OURS", "PUBLISHED", "Board", "Difference", "Entry", "Score", "leaderboard", "leaderboards"]

BOARD = ["task", "fold_scheme", "rows", "data"]
"""Columns in which all runs of a board agree."""

RUN = ["model", "key"]
"""Columns that identify a run."""

STUDY = ["study", "trials", "failed_trials", "tuning_seconds"]
"""Columns about the tuning study of a run."""

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
    "featurise_seconds",
    "predict_seconds",
    "memory_mb",
    "device",
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
        One row per task, entry and metric, best entry first; `crystalbench.evaluation.board_frames.boards_frame` has
        details.

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


def _board(runs: pd.DataFrame, pooled: Pooled, *, is_only: bool) -> Board:
    groups = {key: EntryRuns(group) for key, group in runs.groupby(["model", "configuration"], sort=False)}
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


def _named(groups: Sequence[EntryRuns]) -> list[tuple[str, EntryRuns]]:
    """Groups with names that differ; those of stacks name the members, which may be others on another board."""
    alike: dict[tuple[str, ...], list[EntryRuns]] = defaultdict(list)
    for group in groups:
        alike[tuple(group.first[name] for name in ("model", "view", "protocol"))].append(group)
    named = []
    for (label, *_), same in alike.items():
        settings = _with_short_members([group.settings() for group in same])
        if len(same) == 1:
            own = re.sub(r" x\d+$", "", label) == same[0].first["model_name"]  # also of an ensemble, stack x3
            members = settings[0].get("members") if own else None
            named.append((label if members is None else f"{label} ({members})", same[0]))
        else:
            named += [
                (f"{label} ({_difference(mine, settings) or group.first['key'][:8]})", group)
                for group, mine in zip(same, settings, strict=True)
            ]
    return named


def _with_short_members(settings: list[dict[str, str]]) -> list[dict[str, str]]:
    """Settings of stacks with their members in short, if these can be read; other settings as they are."""
    short = short_members([one["members"] for one in settings]) if all("members" in one for one in settings) else None
    return settings if short is None else [one | {"members": text} for one, text in zip(settings, short, strict=True)]


def _difference(mine: dict[str, str], settings: Sequence[dict[str, str]]) -> str:
    """The settings in which one group differs from others of the same label, e.g. ``layers=2``; members alone."""
    names = [name for name in mine if len({other.get(name) for other in settings}) > 1]
    return ", ".join(mine[name] if name == "members" else f"{name}={mine[name]}" for name in names)


def _entry(name: str, group: EntryRuns, default: EntryRuns | None, pooled: Pooled) -> Entry:
    first = group.first
    metrics = [metric.name for metric in metrics_of(first["kind"])]
    scores = _scores(group, pooled, metrics)
    undefined = {metric: folds for metric in metrics if (folds := group.undefined(metric))}
    if first["fold_scheme"] != OFFICIAL:  # a pooled score is defined even if that of a fold is not
        undefined = {metric: folds for metric, folds in undefined.items() if metric not in scores}
    parameters, fit_seconds = group.known("parameters"), group.mean("fit_seconds")
    tuned = zip(*(group.values(name) for name in ("fold", "tuned_trial", *STUDY)), strict=True)
    studies: dict[str, tuple[int, int, float]] = {}  # runs may share a study
    kept = set()
    for fold, trial, study, *of_study in tuned:
        if study is not None:
            studies[study] = of_study[0], of_study[1], of_study[2]
            kept |= {int(fold)} if trial == 0 else set()
    gains = zip(*(group.values(name) for name in ("study", "fold", "tuning_gain", "tuning_gain_error")), strict=True)
    return Entry(
        model=name,
        protocol=str(first["protocol"]),
        view=str(first["view"]),
        scores=scores,
        folds=len(group.repetitions),
        seeds=(min(group.repetitions.values()), max(group.repetitions.values())),
        rows=int(first["rows"]),
        rows_total=int(first["rows_total"]),
        fit_seconds=None if np.isnan(fit_seconds) else fit_seconds,
        parameters=int(max(parameters)) if parameters else None,
        source=str(first["source"]),
        note=str(first["notes"]),
        trials=sum(trials for trials, _, _ in studies.values()) if studies else None,
        failed_trials=sum(failed for _, failed, _ in studies.values()),
        tuning_seconds=sum(seconds for _, _, seconds in studies.values()) if studies else None,
        kept=frozenset(kept),
        gain={} if default is None else _gains(scores, _scores(default, pooled, metrics)),
        inner_gain={
            int(fold): (float(gain), float(error))
            for study, fold, gain, error in gains
            if study is not None and not np.isnan(gain)
        },
        model_name=str(first["model_name"]),
        fold_numbers=tuple(sorted(map(int, group.repetitions))),
        undefined=undefined,
        hardware=group.hardware,
        concurrent=group.concurrent,
        defaults_chosen_here=any(group.values("defaults_chosen_here")),
        sees=group.sees,
        configuration=str(first["configuration"]),
        by_row=True,
        pretrained_on=tuple(
            sorted({name for text in set(group.values("pretrained_on")) for name in text.split(", ") if name})
        ),
        costs=group.costs,
    )


def _score(over_folds: dict[int, float], seeds: Mapping[int, tuple[float, ...]] | None = None) -> Score:
    values = np.array(list(over_folds.values()))
    return Score(float(values.mean()), float(values.std()), over_folds, seeds or {})


def _scores(group: EntryRuns, pooled: Pooled, metrics: Sequence[str]) -> dict[str, Score]:
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
