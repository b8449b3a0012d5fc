"""The objective of a study: the task's metric on training rows that the model was not fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crystalbench.data.samples import Samples
from crystalbench.errors import DataError
from crystalbench.evaluation.metrics import score
from crystalbench.models.model import Model, Progress, Runtime
from crystalbench.results.spec import RunSpec
from crystalbench.results.study import study_seed
from crystalbench.targets import METRICS
from crystalbench.tuning.sampler import STEPS

Report: TypeAlias = Callable[[int, float], None]
"""Called with a step of the first fit (1 to ``STEPS``) and the best validation score up to that step."""

ObjectiveFunction: TypeAlias = Callable[[int, Mapping[str, Any], Report], float]
"""Called with the number of a trial, its hyperparameters and a `Report`; returns the value of the trial."""


@dataclass(frozen=True)
class InnerSplit:
    """Row numbers within the training part of a fold.

    Attributes:
        fit: (n_fit,) rows passed to `fit` for training.
        valid: (n_valid,) rows passed to `fit` for validation.
        selection: (n_selection,) rows that score the configuration; `fit` does not see them.
    """

    fit: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    selection: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Objective:
    """Maps a configuration to the metric on the selection rows, averaged over the inner splits.

    An objective contains only the rows of the training part, so nothing of the test part can reach a trial.

    Attributes:
        spec: specification of the study.
        model: the model class.
        training: all rows of the fold's training part, with targets.
        splits: inner splits of the training part. Selection rows are separate from validation rows because some models
            also fit the validation rows, and others use them for early stopping.
        metric: name of the task's main metric.
        device: torch device.
        threads: number of threads.
    """

    spec: RunSpec
    model: type[Model]
    training: Samples
    splits: Sequence[InnerSplit]
    metric: str
    device: str = "cpu"
    threads: int = 1

    def __call__(self, number: int, parameters: Mapping[str, Any], report: Report) -> float:
        """Evaluate a configuration.

        Args:
            number: number of the trial, from which its random seeds follow.
            parameters: hyperparameters of the trial; they replace those of ``spec``.
            report: receives the progress of the first fit.

        Returns:
            The mean of the metric over the inner splits, in the metric's unit.

        Raises:
            DataError: the metric is not defined on the selection rows.
        """
        values = []
        for i, split in enumerate(self.splits):
            model = self.model.from_configuration({**self.spec.parameters, **parameters})
            model.runtime = Runtime(
                seed=study_seed(self.spec, "trial", number, i),
                device=self.device,
                threads=self.threads,
                progress=_Steps(report, -1 if METRICS[self.metric].higher_is_better else 1) if i == 0 else _ignore,
            )
            model.fit(self.training[split.fit], self.training[split.valid])
            selection = self.training[split.selection]
            predicted = model.predict(selection.to_predict()).checked(selection.target, selection.ids)
            values.append(score(selection.target.kind, selection.targets, predicted.values)[self.metric])
        value = float(np.mean(values))
        if not math.isfinite(value):
            raise DataError(f"{self.metric} is not defined on the {len(self.splits[0].selection)} selection rows")
        return value


class _Steps(Progress):
    """Converts a model's progress into steps, each with the best validation score up to that step."""

    def __init__(self, report: Report, sign: int) -> None:
        self.report, self.sign = report, sign
        self.best = math.inf

    def __call__(self, done: int, total: int, **numbers: Any) -> None:
        valid = numbers.get("valid")
        if valid is None or not math.isfinite(valid):
            return
        self.best = min(self.best, valid)
        if step := STEPS * done // max(1, total):
            self.report(step, self.sign * self.best)


def _ignore(done: int, total: int, **details: Any) -> None:
    """Discards progress: only the first fit of a trial can be pruned."""
