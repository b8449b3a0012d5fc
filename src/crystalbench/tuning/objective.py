"""The objective of a study: the task's metric on training rows that the model was not fitted on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crystalbench.data.samples import Samples
from crystalbench.errors import DataError
from crystalbench.evaluation.metrics import score
from crystalbench.models.model import Model, Runtime
from crystalbench.results.spec import RunSpec
from crystalbench.results.study import study_seed
from crystalbench.targets import METRICS

log = logging.getLogger(__name__)

ObjectiveFunction: TypeAlias = Callable[[int, Mapping[str, Any]], Iterator[float]]
"""Called with the number of a trial and its hyperparameters; yields the score of each evaluation, in order. A pruned
trial does not ask for further ones."""


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
    """Maps a configuration to the metric on the selection rows: one score for each inner split and seed.

    Splits and seeds are the same for every configuration, so differences between two configurations are paired: they
    contain neither the difficulty of the rows nor the luck of a seed. An objective contains only the rows of the
    training part, so nothing of the test part can reach a trial.

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

    def __call__(self, number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        """Evaluate a configuration.

        Args:
            number: number of the trial, for the log.
            parameters: hyperparameters of the trial; they replace those of ``spec``.

        Yields:
            The metric of each evaluation, in the metric's unit.

        Raises:
            DataError: the metric is not defined on the selection rows.
        """
        assert self.spec.tuning is not None
        for split, seed in self.spec.tuning.evaluations:
            value = self.evaluate(parameters, split, seed)
            log.debug("trial %d, inner split %d, seed %d: %s %.6g", number, split, seed, self.metric, value)
            yield value

    def evaluate(self, parameters: Mapping[str, Any], split: int, seed: int) -> float:
        """The score of a configuration in one evaluation.

        Args:
            parameters: the tuned hyperparameters.
            split: number of the inner split.
            seed: number of the repetition.

        Raises:
            DataError: the metric is not defined on the selection rows.
        """
        return self._score(parameters, self.splits[split], study_seed(self.spec, "evaluation", split, seed))

    def _score(self, parameters: Mapping[str, Any], split: InnerSplit, seed: int) -> float:
        model = self.model.from_configuration({**self.spec.parameters, **parameters})
        model.runtime = Runtime(seed=seed, device=self.device, threads=self.threads)
        model.fit(self.training[split.fit], self.training[split.valid])
        selection = self.training[split.selection]
        predicted = model.predict(selection.to_predict()).checked(selection.target, selection.ids)
        value = score(selection.target.kind, selection.targets, predicted.values)[self.metric]
        if not math.isfinite(value):
            cause = METRICS[self.metric].undefined_for or "such targets"
            raise DataError(
                f"{self.metric} is undefined on selection rows with {cause} (this inner split has "
                f"{len(split.selection)} selection rows): use more rows, fewer inner folds of tuning "
                "(--tune-inner-folds), or another main metric of the task (metric in its task file)"
            )
        return float(value)
