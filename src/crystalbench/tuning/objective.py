"""What a trial is judged by: the task's metric on rows of the training part that the model was not given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

Report = Callable[[int, float], None]
"""Told the step (1 to ``STEPS``) of the first fit and the best validation score until then."""


@dataclass(frozen=True)
class InnerSplit:
    """Row numbers within the training part of a fold: to fit, to validate, and to judge."""

    fit: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    judged: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Objective:
    """From a configuration to the metric on judged rows, mean over the inner splits.

    It holds the training part's rows and no others, so that nothing of the test part can reach a trial.

    Attributes:
        asked: what determines the study.
        model: the model class.
        training: all rows of the fold's training part, with targets.
        splits: parts of the training part. Judged rows are not shown to `fit`, since some models fit the validation
            rows as well, and others stop by them.
        metric: name of the task's main metric.
        device: torch device.
        threads: threads.
    """

    spec: RunSpec
    model: type[Model]
    training: Samples
    splits: Sequence[InnerSplit]
    metric: str
    device: str = "cpu"
    threads: int = 1

    def __call__(self, number: int, found: Mapping[str, Any], report: Report) -> float:
        """The value of a configuration.

        Args:
            number: of the trial; its random seeds follow from it.
            found: hyperparameters that stand in place of those asked.
            report: told of progress.

        Raises:
            DataError: the metric is not defined on the judged rows.
        """
        values = []
        for place, split in enumerate(self.splits):
            model = self.model.from_configuration({**self.spec.parameters, **found})
            model.runtime = Runtime(
                seed=study_seed(self.spec, "trial", number, place),
                device=self.device,
                threads=self.threads,
                progress=_Steps(report, -1 if METRICS[self.metric].higher_is_better else 1) if place == 0 else _quiet,
            )
            model.fit(self.training[split.fit], self.training[split.valid])
            judged = self.training[split.judged]
            predicted = model.predict(judged.to_predict()).checked(judged.target, judged.ids)
            values.append(score(judged.target.kind, judged.targets, predicted.values)[self.metric])
        value = float(np.mean(values))
        if not math.isfinite(value):
            raise DataError(f"{self.metric} is not defined on the {len(self.splits[0].judged)} judged rows")
        return value


class _Steps(Progress):
    """Turns a model's progress into steps, each with the best validation score until then."""

    def __init__(self, report: Report, sign: int) -> None:
        self.report, self.sign = report, sign
        self.best = math.inf

    def __call__(self, done: int, total: int, **numbers: float) -> None:
        valid = numbers.get("valid")
        if valid is None or not math.isfinite(valid):
            return
        self.best = min(self.best, valid)
        if step := STEPS * done // max(1, total):
            self.report(step, self.sign * self.best)


def _quiet(done: int, total: int, **numbers: float) -> None:
    """Later fits of a trial are not compared."""
