"""What proposes configurations and what stops bad trials; all randomness follows from the study and the trial."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import study_seed

NUMBER = "number"
"""User attribute of a trial: its number in the budget. Optuna's own numbers also count tries that were cut short."""

STARTUP_TRIALS = 10
"""Random trials before the sampler models what was found, Optuna's default."""

STEPS = 10
"""Progress is reported in so many steps of the first fit."""

WARM_UP = 3
"""No trial is stopped before this step."""


class SeededTPE(BaseSampler):
    """Multivariate TPE with constant liar (Optuna), seeded anew for each trial from the study and the trial's number.

    Workers of one study then draw from different streams, and a study that one worker does takes the same course
    whether or not it was interrupted.

    Args:
        asked: what determines the study.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self._tpe = self._seeded(0)

    def _seeded(self, number: int) -> TPESampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                n_startup_trials=STARTUP_TRIALS,
                multivariate=True,
                constant_liar=True,
                seed=study_seed(self.spec, "sampler", number),
            )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed for this trial."""
        self._tpe = self._seeded(trial.user_attrs[NUMBER])
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As TPE."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As TPE."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As TPE."""
        self._tpe.after_trial(study, trial, state, values)


def median_pruner() -> BasePruner:
    """Stops a trial whose best validation score is worse than the median of the finished trials at the same step.

    Optuna's, which begins after five finished trials and three tenths of the first fit.
    """
    return MedianPruner(n_startup_trials=5, n_warmup_steps=WARM_UP, n_min_trials=3)
