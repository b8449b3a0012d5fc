"""The sampler, which proposes configurations."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import study_seed
from crystalbench.tuning.perturbation import near

NUMBER = "number"
"""User attribute of an Optuna trial: the trial's number in the budget. Optuna's own numbers also count attempts that
were interrupted. The name is in the databases of unfinished studies, so its value must not change."""

STARTUP_TRIALS = 4
"""Number of trials, the default among them, before the sampler models the results."""


class SeededTPE(BaseSampler):
    """Configurations near the default, then Optuna's multivariate TPE with constant liar; a seed for each trial.

    Until `STARTUP_TRIALS` trials are completed or pruned, one to three hyperparameters of the default are changed:
    uniform draws from ten dimensions are rarely better than a default, and small budgets contain little else.

    The seed is derived from the study and the number of the trial. Workers of one study therefore draw different random
    numbers, and a study with a single worker has the same trials whether or not it was interrupted.

    Args:
        spec: specification of the study.
        space: the search space.
        default: the configuration of trial 0, in the search space.
    """

    def __init__(self, spec: RunSpec, space: Mapping[str, BaseDistribution], default: Mapping[str, Any]) -> None:
        self.spec, self.space, self.default = spec, space, default
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
        """The search space, without hyperparameters that have a single value."""
        return {name: distribution for name, distribution in self.space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A configuration near the default in the first trials, then one from TPE."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if len(finished) < STARTUP_TRIALS:
            random = np.random.default_rng(study_seed(self.spec, "near", trial.user_attrs[NUMBER]))
            return {
                name: value for name, value in near(self.default, self.space, random).items() if name in search_space
            }
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Delegate to TPE."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Delegate to TPE."""
        self._tpe.after_trial(study, trial, state, values)
