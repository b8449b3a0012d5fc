"""The pruner: asynchronous successive halving over the evaluations of the trials."""

from __future__ import annotations

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from crystalbench.tuning.reading import current_trials
from crystalbench.tuning.sampler import NUMBER

REDUCTION = 2
"""After each evaluation, one in so many trials goes on."""


class Halving(BasePruner):
    """Stops a trial whose mean score is not in the best half of the trials that have made as many evaluations.

    All trials have the same evaluations in the same order, so means are compared over equal rows and seeds. Trials are
    not waited for: each is compared with those that have come as far, as in asynchronous successive halving (Li et al.,
    MLSys 2020). The default (trial 0) is never stopped, nor is a trial after its last evaluation.

    Optuna's own ``SuccessiveHalvingPruner`` also compares with attempts that do not count, those of workers that died,
    so an interrupted study would prune other trials than one that was not.

    Args:
        evaluations: number of evaluations of a trial.
    """

    def __init__(self, evaluations: int) -> None:
        self.evaluations = evaluations

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop a trial after the evaluation that it has just reported."""
        step = trial.last_step
        if step is None or step >= self.evaluations or trial.user_attrs[NUMBER] == 0:
            return False
        sign = -1 if study.direction is StudyDirection.MAXIMIZE else 1
        peers = current_trials(study, study.get_trials(deepcopy=False)).values()
        means = [
            sign * peer.intermediate_values[step]
            for peer in peers
            if step in peer.intermediate_values and peer.state is not TrialState.FAIL
        ]
        better = sum(mean < sign * trial.intermediate_values[step] for mean in means)
        return better >= max(1, len(means) // REDUCTION)
