"""The sampler, which proposes configurations, and the pruner, which stops poor trials."""

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
"""User attribute of an Optuna trial: the trial's number in the budget. Optuna's own numbers also count attempts that
were interrupted. The name is in the databases of unfinished studies, so its value must not change."""

STARTUP_TRIALS = 10
"""Number of random trials before the sampler models the results; Optuna's default."""

STEPS = 10
"""Number of steps into which the first fit of a trial is divided, for pruning."""

WARM_UP = 3
"""No trial is pruned before this step."""


class SeededTPE(BaseSampler):
    """Optuna's multivariate TPE with constant liar, with a seed for each trial.

    The seed is derived from the study and the number of the trial. Workers of one study therefore draw different random
    numbers, and a study with a single worker has the same trials whether or not it was interrupted.

    Args:
        spec: specification of the study.
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
        """Replace the sampler by one with the seed of this trial."""
        self._tpe = self._seeded(trial.user_attrs[NUMBER])
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Delegate to TPE."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Delegate to TPE."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Delegate to TPE."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Delegate to TPE."""
        self._tpe.after_trial(study, trial, state, values)


def median_pruner() -> BasePruner:
    """Optuna's pruner of trials whose best validation score is worse than the median of other trials at the same step.

    It prunes after the first five finished trials, and not in the first three tenths of a trial's first fit.
    """
    return MedianPruner(n_startup_trials=5, n_warmup_steps=WARM_UP, n_min_trials=3)
