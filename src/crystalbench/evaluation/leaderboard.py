"""Leaderboards: records to scores per model and task, with published scores beside them. Nothing is typed by hand."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crystalbench.evaluation.published import FOLD_COLUMNS, published_scores
from crystalbench.results.record import Record
from crystalbench.targets import METRICS, Metric, metrics_of

OURS, PUBLISHED = "ours", "published"


@dataclass(frozen=True)
class Score:
    """One metric of one entry.

    Attributes:
        mean: mean over the folds, each the mean over its seeds.
        std: population standard deviation over the folds, as Matbench has it.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class Gain:
    """What tuning changed in one metric: tuned minus default on the folds that both have done.

    Attributes:
        folds: difference by fold, each of the means over the seeds.
    """

    folds: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(np.mean(list(self.folds.values())))

    @property
    def std(self) -> float:
        """Population standard deviation over the folds."""
        return float(np.std(list(self.folds.values())))


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard: a model on a task.

    Attributes:
        model: name in tables.
        protocol: ``default``, ``tuned``, or ``tuned on fold 0`` where one fold's search serves all.
        view: what the model saw.
        scores: by metric name; a metric that is not defined on every fold is left out.
        folds: number of folds done.
        seeds: repetitions of a fold: the fewest and the most of these folds.
        rows: rows of the task that were at hand.
        rows_total: rows of the complete task.
        fit_seconds: mean seconds to fit a fold; None for published entries.
        parameters: fitted parameters, largest over the folds; None where unknown.
        source: ``ours`` or ``published``.
        note: a reason for doubt, or empty.
        trials: configurations tried in tuning, in all of its studies together; None where nothing was tuned.
        failed_trials: how many of them failed.
        tuning_seconds: seconds of these trials together.
        kept: the folds on which tuning found nothing better than the configuration that was asked.
        gain: tuned minus default, fold by fold, by metric; empty where one of both is missing.
    """

    model: str
    protocol: str
    view: str
    scores: dict[str, Score]
    folds: int
    seeds: tuple[int, int]
    rows: int
    rows_total: int
    fit_seconds: float | None
    parameters: int | None
    source: str
    note: str = ""
    trials: int | None = None
    failed_trials: int = 0
    tuning_seconds: float | None = None
    kept: frozenset[int] = frozenset()
    gain: Mapping[str, Gain] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """The entries of one task on the same rows, best first.

    Attributes:
        task: name of the task.
        metric: name of the main metric.
        kind: kind of the target.
        unit: its unit.
        rows: rows at hand.
        rows_total: rows of the complete task.
        folds_total: number of folds of the task.
        entries: ours and the published ones, best first, then those that lack folds; on a part of the rows the
            published ones, which are of all rows, come last.
    """

    task: str
    metric: str
    kind: str
    unit: str
    rows: int
    rows_total: int
    folds_total: int
    entries: list[Entry]

    @property
    def is_partial(self) -> bool:
        """Whether a part of the task's rows was used."""
        return self.rows < self.rows_total

    @property
    def metrics(self) -> list[Metric]:
        """The main metric, then the others of the task's kind."""
        rest = [m for m in metrics_of(self.kind) if m.name != self.metric]
        return [METRICS[self.metric], *rest]

    @property
    def has_tuned(self) -> bool:
        """Whether any entry was tuned."""
        return any(entry.trials is not None for entry in self.entries)


def leaderboards(records: Iterable[Record]) -> list[Board]:
    """Boards of all tasks that records tell of, by name of the task; partial ones after complete ones."""
    by_board: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        by_board[(record.spec.task, -record.rows.task, record.spec.data)].append(record)
    return [_board(by_board[key]) for key in sorted(by_board)]


def _board(records: Sequence[Record]) -> Board:
    first = records[0]
    task, rows, rows_total = first.spec.task, first.rows.task, first.rows.task_total
    ours = [_entry(name, group, _untuned(group, records)) for name, group in _named_groups(records)]
    complete = rows == rows_total
    published = _published_entries(task, rows_total)
    better_last = METRICS[first.metric].higher_is_better

    def order(entry: Entry) -> tuple[bool, bool, float, str]:
        score = entry.scores.get(first.metric)
        value = float("inf") if score is None else (-score.mean if better_last else score.mean)
        foreign = not complete and entry.source == PUBLISHED
        return (foreign, entry.folds < first.rows.task_folds, value, entry.model)

    entries = sorted(ours + published, key=order)
    return Board(task, first.metric, first.kind, first.unit, rows, rows_total, first.rows.task_folds, entries)


def _named_groups(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Records that belong together (all but fold and seed are equal), named so that names differ."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (r.label, r.spec.fold, r.spec.seed, r.key)):
        spec = record.spec.model_dump(mode="json", exclude={"fold", "seed"})
        groups[json.dumps([record.label, spec], sort_keys=True)].append(record)
    alike: dict[tuple[str, str, str], list[list[Record]]] = defaultdict(list)
    for group in groups.values():
        alike[(group[0].label, group[0].spec.view, _protocol(group[0]))].append(group)
    named = []
    for (label, _, _), same in alike.items():
        named += [(label if len(same) == 1 else f"{label} ({_difference(g, same)})", g) for g in same]
    return named


def _difference(group: list[Record], same: list[list[Record]]) -> str:
    """What sets a group of runs apart from others of the same label, e.g. ``layers=2``."""

    def settings(records: list[Record]) -> dict[str, str]:
        spec = records[0].spec
        plain = {"model": spec.model, "version": spec.model_version, "code": (spec.model_code or "")[:8]}
        plain |= {"view_version": spec.view_version, **spec.protocol.model_dump()}
        if spec.tuning is not None:
            how = spec.tuning.model_dump()
            plain |= {f"tuning_{name}": value for name, value in how.items() if value is not None}
            plain["tuning_space"] = spec.tuning.space[:8]
        return {name: str(value) for name, value in {**plain, **spec.parameters}.items()}

    everyone = [settings(g) for g in same]
    mine = settings(group)
    names = [name for name in mine if len({s.get(name) for s in everyone}) > 1]
    return ", ".join(f"{name}={mine[name]}" for name in names) or group[0].key[:8]


def _protocol(record: Record) -> str:
    if record.spec.tuning is None:
        return "default"
    if record.spec.tuning.scheme == "per_fold" or record.tuned is None:
        return "tuned"
    return f"tuned on fold {record.tuned.fold}"


def _untuned(group: Sequence[Record], records: Sequence[Record]) -> list[Record]:
    """The runs that a group of tuned ones has to be held against: all is equal but the tuning."""

    def rest(record: Record) -> str:
        spec = record.spec.model_dump(mode="json", exclude={"fold", "seed", "tuning"})
        return json.dumps([record.label, spec], sort_keys=True)

    if group[0].spec.tuning is None:
        return []
    mine = rest(group[0])
    return [r for r in records if r.spec.tuning is None and rest(r) == mine]


def _fold_means(records: Sequence[Record], metric: str) -> dict[int, float] | None:
    """Means over the seeds by fold; None where the metric is not defined on every one."""
    values: dict[int, list[float | None]] = defaultdict(list)
    for record in records:
        values[record.spec.fold].append(record.scores.get(metric))
    if any(v is None for group in values.values() for v in group):
        return None
    return {fold: float(np.mean([v for v in group if v is not None])) for fold, group in sorted(values.items())}


def _gains(tuned: Sequence[Record], untuned: Sequence[Record]) -> dict[str, Gain]:
    gains = {}
    for metric in metrics_of(tuned[0].kind):
        with_it, without = _fold_means(tuned, metric.name), _fold_means(untuned, metric.name)
        if with_it and without and (both := with_it.keys() & without.keys()):
            gains[metric.name] = Gain({fold: with_it[fold] - without[fold] for fold in sorted(both)})
    return gains


def _entry(name: str, records: list[Record], untuned: Sequence[Record] = ()) -> Entry:
    first = records[0]
    scores: dict[str, Score] = {}
    for metric in metrics_of(first.kind):
        if means := _fold_means(records, metric.name):
            over_folds = np.array(list(means.values()))
            scores[metric.name] = Score(float(over_folds.mean()), float(over_folds.std()))
    studies = {r.tuned.study: r.tuned for r in records if r.tuned is not None}
    parameters = [r.n_parameters for r in records if r.n_parameters is not None]
    repetitions = Counter(fold for fold, _ in {(r.spec.fold, r.spec.seed) for r in records})
    return Entry(
        model=name,
        protocol=_protocol(first),
        view=first.spec.view,
        scores=scores,
        folds=len(repetitions),
        seeds=(min(repetitions.values()), max(repetitions.values())),
        rows=first.rows.task,
        rows_total=first.rows.task_total,
        fit_seconds=float(np.mean([r.seconds.fit for r in records])),
        parameters=max(parameters) if parameters else None,
        source=OURS,
        trials=sum(t.trials for t in studies.values()) if studies else None,
        failed_trials=sum(t.failed for t in studies.values()),
        tuning_seconds=sum(t.seconds for t in studies.values()) if studies else None,
        kept=frozenset(r.spec.fold for r in records if r.tuned is not None and r.tuned.trial == 0),
        gain=_gains(records, untuned) if untuned else {},
    )


def _published_entries(task: str, rows_total: int) -> list[Entry]:
    table = published_scores()
    table = table[table["task"] == task]
    # A submission kept in the repository's history as well as on the leaderboard is listed once.
    listed = set(table.loc[table["leaderboard"], "algorithm"])
    table = table[table["leaderboard"] | ~table["algorithm"].str.removesuffix(" [history]").isin(listed)]
    entries = []
    for algorithm, lines in table.groupby("algorithm", sort=True):
        scores = {
            str(metric): Score(float(mean), float(std))
            for metric, mean, std in zip(lines["metric"], lines["mean"], lines["std"], strict=True)
        }
        notes = [note for note in lines["note"] if note]
        folds = int(lines[list(FOLD_COLUMNS)].notna().iloc[0].sum())
        entries.append(
            Entry(
                model=str(algorithm),
                protocol="default",
                view="full",
                scores=scores,
                folds=folds,
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
