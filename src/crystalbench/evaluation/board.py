"""What a leaderboard consists of: boards, their entries, and the entries' scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from crystalbench.evaluation.counterparts import COUNTERPARTS, DUMMY
from crystalbench.evaluation.scores import Difference, Score
from crystalbench.evaluation.tiers import Pairs, Standing, all_pairs, all_standings
from crystalbench.sees import Sees
from crystalbench.targets import METRICS, OFFICIAL, Metric, metrics_of

__all__ = [
    "IMPORTED",
    "OURS",
    "PUBLISHED",
    "Board",
    "Costs",
    "Difference",
    "Entry",
    "Pairs",
    "Score",
    "Standing",
]

OURS, PUBLISHED, IMPORTED = "ours", "published", "imported"
"""Sources of entries: runs of this package; published elsewhere; predictions of somebody's file."""


@dataclass(frozen=True)
class Costs:
    """Costs of the runs of an entry besides the time of the fit.

    Attributes:
        featurise: mean seconds to compute the representations of all rows of the task. They are computed once and then
            read from the cache, so that runs that share them state the same number.
        predict: mean seconds to predict the test part of a fold.
        memory: largest resident memory of a run in MB (10^6 bytes).
        device: torch devices of the runs, separated by commas.
        waited: the largest share of the time of a fit that was spent waiting for a processor that other processes used;
            None if it is unknown for all runs.
    """

    featurise: float
    predict: float
    memory: float
    device: str
    waited: float | None = None


@dataclass(frozen=True)
class Entry:
    """One row of a leaderboard: a model on a task.

    Attributes:
        model: name in tables.
        protocol: ``default``, ``tuned``, or ``tuned on fold 0`` if the search of one fold serves all.
        view: what the model saw.
        scores: by metric name; a metric that is undefined on some fold is left out.
        folds: number of completed folds.
        seeds: the smallest and the largest number of seeds of a fold.
        rows: rows of the task that were available.
        rows_total: rows of the complete task.
        fit_seconds: mean seconds to fit a fold; None for published entries.
        parameters: number of fitted parameters, the largest over the folds; None if unknown.
        source: ``ours``, ``published`` or ``imported``.
        note: a reason for doubt, or empty.
        trials: number of tuning trials, summed over all studies of the entry; None without tuning.
        failed_trials: number of trials that failed.
        tuning_seconds: seconds of all trials together; None without tuning.
        kept: folds on which tuning kept the default.
        gain: tuned minus default by metric; empty unless both were run.
        inner_gain: by fold, the improvement of the best trial on the default on the inner folds of its study, and its
            standard error.
        model_name: registered name of the model, or its place; empty for published entries.
        fold_numbers: the completed folds.
        undefined: by metric, the folds on which it is undefined.
        hardware: processors and numbers of threads that the seconds were measured on; empty if unknown.
        concurrent: the largest number of processes that computed runs at the same time; None if it is unknown.
        defaults_chosen_here: whether rows of this task were used in choosing the defaults of the model.
        sees: what the model saw under the view.
        configuration: hash of everything but fold and seed; empty for published entries.
        by_row: whether the scores are computed from predictions of the rows of this board; published entries of which
            only the scores are known are of all rows of the task.
        pretrained_on: data sets that a pretrained part of the model has seen.
        refused: why the entry is not ranked, e.g. since it was pretrained on labels of the task; empty if it may be.
        flagged: what a reader should know about its pretraining; empty if nothing.
        costs: further costs of the runs; None for published entries.
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
    inner_gain: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    gain: Mapping[str, Difference] = field(default_factory=dict)
    model_name: str = ""
    fold_numbers: tuple[int, ...] = ()
    undefined: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hardware: frozenset[str] = frozenset()
    concurrent: int | None = None
    defaults_chosen_here: bool = False
    sees: Sees = Sees.UNDECLARED
    configuration: str = ""
    by_row: bool = False
    pretrained_on: tuple[str, ...] = ()
    refused: str = ""
    flagged: str = ""
    costs: Costs | None = None

    @property
    def counterpart(self) -> str | None:
        """Name of the published entry of the same method, which may not exist for this task."""
        return COUNTERPARTS.get(self.model_name)

    @property
    def is_dummy(self) -> bool:
        """Whether the entry is the baseline that ignores its inputs, ours or the published one."""
        return self.model_name == DUMMY or (self.source == PUBLISHED and self.model == COUNTERPARTS[DUMMY])

    def minus(self, other: Entry, metric: str) -> Difference | None:
        """This entry minus another one in a metric, on the folds that both have.

        Returns:
            None if the metric is undefined for one of them, or there is no common fold.
        """
        mine, others = self.scores.get(metric), other.scores.get(metric)
        return None if mine is None or others is None else mine.minus(others)


@dataclass(frozen=True)
class Board:
    """The entries of one task on the same data.

    Attributes:
        task: name of the task.
        data: digest of the task's rows, targets and folds. Scores on different data are on different boards.
        is_only: whether there is no other board of this task with the same number of rows and the same fold scheme.
        metric: name of the main metric.
        kind: kind of the target.
        unit: unit of the target.
        rows: rows that were available.
        rows_total: rows of the complete task.
        folds_total: number of folds of the task.
        entries: our own and the published ones, best first; entries that lack folds or are refused follow. Published
            scores are of all rows, so on a board with part of the rows they come last.
        test_rows: number of test rows by fold.
        fold_scheme: ``official``, or how other folds were made. Scores on other folds are pooled over the samples of
            all folds, and there are no published ones.
    """

    task: str
    data: str
    is_only: bool
    metric: str
    kind: str
    unit: str
    rows: int
    rows_total: int
    folds_total: int
    entries: list[Entry]
    test_rows: Mapping[int, int] = field(default_factory=dict)
    fold_scheme: str = OFFICIAL

    @property
    def is_official(self) -> bool:
        """Whether the folds are the official ones."""
        return self.fold_scheme == OFFICIAL

    @property
    def mean_test_rows(self) -> float:
        """Mean number of test rows of a fold; if it is not known, that of equal folds."""
        return float(np.mean(list(self.test_rows.values()))) if self.test_rows else self.rows / self.folds_total

    @property
    def test_over_train(self) -> float:
        """Number of test rows over number of training rows of a fold."""
        return self.mean_test_rows / (self.rows - self.mean_test_rows)

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score in the main metric is better."""
        return METRICS[self.metric].higher_is_better

    @property
    def is_partial(self) -> bool:
        """Whether only part of the task's rows was used."""
        return self.rows < self.rows_total

    @property
    def metrics(self) -> list[Metric]:
        """The main metric, then the others of the task's kind."""
        rest = [m for m in metrics_of(self.kind) if m.name != self.metric]
        return [METRICS[self.metric], *rest]

    def is_comparable(self, entry: Entry) -> bool:
        """Whether an entry is of the rows of this board; published scores are of all rows."""
        return entry.by_row or not self.is_partial

    def is_complete(self, entry: Entry) -> bool:
        """Whether an entry has all folds."""
        return entry.folds >= self.folds_total

    def is_ranked(self, entry: Entry) -> bool:
        """Whether an entry has a rank: it is comparable, has all folds and the main metric, and is not refused."""
        of_all = self.is_comparable(entry) and self.is_complete(entry)
        return of_all and self.metric in entry.scores and not entry.refused

    def is_better(self, difference: Difference) -> bool:
        """Whether a difference in the main metric is an improvement."""
        return (difference.mean > 0) if self.higher_is_better else (difference.mean < 0)

    @cached_property
    def dummy(self) -> Entry | None:
        """The baseline of this board: our dummy, or the published one if ours lacks folds; None if there is neither."""
        found = [e for e in self.entries if e.is_dummy and self.is_comparable(e) and self.metric in e.scores]
        return max(found, key=lambda e: (e.folds, e.source == OURS), default=None)

    @cached_property
    def pairs(self) -> Pairs:
        """Paired tests of all entries in the main metric; none on other folds than the official ones, which are random.

        Entries that lack folds take part.
        """
        scores = [e.scores.get(self.metric) if self.is_comparable(e) else None for e in self.entries]
        folds = sorted({fold for score in scores if score is not None for fold in score.folds})
        if not self.is_official or len(folds) < 2:
            return Pairs.none()
        test_rows = {fold: self.test_rows.get(fold, self.mean_test_rows) for fold in folds}
        return all_pairs(scores, test_rows, self.test_over_train)

    @cached_property
    def standings(self) -> list[Standing | None]:
        """Tier and interval of ranks of each entry; None for entries that are not ranked."""
        ranked = [self.is_ranked(entry) for entry in self.entries]
        return all_standings(ranked, self.pairs, higher_is_better=self.higher_is_better)

    @property
    def has_tiers(self) -> bool:
        """Whether ranked entries were tested against one another: not on other folds than the official ones.

        Without tests nothing can be told apart, and all ranked entries are in one tier.
        """
        return bool(len(self.pairs.a)) and sum(place is not None for place in self.standings) > 1

    def tier_of(self, entry: Entry) -> int | None:
        """Tier of an entry; None if it is not ranked, or nothing was tested."""
        if not self.has_tiers:
            return None
        place = next((place for other, place in zip(self.entries, self.standings, strict=True) if other is entry), None)
        return None if place is None else place.tier

    def minus_dummy(self, entry: Entry) -> Difference | None:
        """An entry minus the baseline in the main metric on the folds that both have; None for the baseline itself."""
        if self.dummy is None or entry.is_dummy or not self.is_comparable(entry):
            return None
        return entry.minus(self.dummy, self.metric)

    def best(self, entries: Iterable[Entry]) -> Entry | None:
        """The best of some entries of the board; None if no one is.

        Only an entry with all folds can be the best, and none that is refused. If one with fewer folds is better on the
        folds that it has, neither is.
        """
        usable = [e for e in self.entries if e in entries and self.is_comparable(e) and not e.refused]
        scored = [e for e in usable if self.metric in e.scores]
        first = next((e for e in scored if self.is_complete(e)), None)
        if first is None:
            return None
        others = (e.minus(first, self.metric) for e in scored if not self.is_complete(e))
        return None if any(d is not None and self.is_better(d) for d in others) else first

    @property
    def has_tuned(self) -> bool:
        """Whether any entry was tuned."""
        return any(entry.trials is not None for entry in self.entries)
