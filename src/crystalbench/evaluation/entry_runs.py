"""The runs of one entry of a leaderboard, and what they have in common."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.board import OURS, PUBLISHED, Costs
from crystalbench.evaluation.kinds import kind_of
from crystalbench.evaluation.scores import Score
from crystalbench.sees import Sees, most

UNDEFINED = "undefined"
"""Column with the metrics that are undefined for a run, or NaN if there are none."""


@dataclass(frozen=True, eq=False)
class EntryRuns:
    """The runs of one entry: they differ in fold and seed only.

    Attributes:
        runs: one row per run, sorted by fold and seed, with a column for each metric.
    """

    runs: pd.DataFrame

    @cached_property
    def first(self) -> dict[str, Any]:
        """Facts of the first run, most of which all runs share."""
        return dict(zip(self.runs.columns, self.runs.iloc[0], strict=True))

    def values(self, column: str) -> list[Any]:
        """The values of a column; those of a nullable one that are missing are None."""
        return [None if value is pd.NA else value for value in self.runs[column].tolist()]

    def known(self, column: str) -> list[Any]:
        """The values of a column without those that are missing."""
        return [value for value in self.values(column) if value is not None and value == value]

    def mean(self, column: str) -> float:
        """Mean of a column; NaN if it is missing for some run."""
        return float(np.mean(self.runs[column].to_numpy(np.float64)))

    @cached_property
    def folds(self) -> list[int]:
        """Fold of each run."""
        return [int(fold) for fold in self.values("fold")]

    @cached_property
    def repetitions(self) -> dict[int, int]:
        """Number of seeds by fold."""
        return dict(Counter(fold for fold, _ in dict.fromkeys(zip(self.folds, self.values("seed"), strict=True))))

    def fold_means(self, metric: str) -> dict[int, float] | None:
        """Means over the seeds by fold; None if the metric is undefined for some run."""
        by_fold = self.seed_scores(metric) if metric in self.runs else {}
        if not by_fold or any(np.isnan(values).any() for values in by_fold.values()):
            return None
        return {fold: float(np.mean(values)) for fold, values in by_fold.items()}

    def seed_scores(self, metric: str) -> dict[int, tuple[float, ...]]:
        """Scores of the seeds by fold."""
        found: dict[int, list[float]] = defaultdict(list)
        for fold, value in zip(self.folds, self.values(metric), strict=True):
            found[fold].append(float(value))
        return {fold: tuple(values) for fold, values in found.items()}

    def pooled_score(self, metric: str, value: float) -> Score:
        """A pooled score, with the means over the seeds by fold; NaN where the metric is undefined on a fold."""
        found = self.runs.groupby("fold")[metric].mean() if metric in self.runs else pd.Series(np.nan, [])
        return Score(value, np.nan, {int(str(fold)): float(mean) for fold, mean in found.items()}, pooled=True)

    def undefined(self, metric: str) -> tuple[int, ...]:
        """The folds on which a metric is undefined."""
        pairs = zip(self.folds, self.values(UNDEFINED), strict=True)
        return tuple(sorted({fold for fold, names in pairs if isinstance(names, frozenset) and metric in names}))

    @property
    def concurrent(self) -> int | None:
        """The largest number of processes that computed runs at the same time; None if it is unknown for some run."""
        values = self.values("concurrent")
        return None if None in values else int(max(values))

    @property
    def hardware(self) -> frozenset[str]:
        """The processors and numbers of threads of the runs; without those of unknown processors."""
        pairs = set(zip(self.values("processor"), self.values("threads"), strict=True))
        return frozenset(f"{name}, {n} thread{'s' * (n != 1)}" for name, n in pairs if name)

    @property
    def costs(self) -> Costs | None:
        """Costs besides the time of the fit; None for entries that were not run by this package."""
        if self.first["source"] != OURS:
            return None
        devices = ", ".join(sorted(set(self.values("device"))))
        waited = (self.runs["fit_waited_seconds"] / self.runs["fit_seconds"]).max()
        return Costs(
            self.mean("featurise_seconds"),
            self.mean("predict_seconds"),
            max(self.values("memory_mb")),
            devices,
            None if np.isnan(waited) else float(waited),
        )

    @property
    def sees(self) -> Sees:
        """What the runs saw. Records of format 4 and before do not say; then it is known of our own models."""
        found = most({Sees(kind) for kind in set(self.values("sees"))})
        if found is not Sees.UNDECLARED or self.first["view"] != FULL:
            return found
        name = self.first["model"] if self.first["source"] == PUBLISHED else self.first["model_name"]
        return kind_of(str(name), str(self.first["task"]))

    def settings(self) -> dict[str, str]:
        """Versions, protocol and hyperparameters as text, by name."""
        return {name: str(value) for name, value in json.loads(self.first["settings"]).items()}
