"""From Optuna's trials to a study, finished or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import State, Study, Trial
from crystalbench.tuning.sampler import NUMBER
from crystalbench.tuning.storage import Storage

WITHDRAWN = "withdrawn"
"""User attribute of a try that does not count, with the reason."""

SECONDS, ERROR, WORKER, SET_ASIDE, FACTS = "seconds", "error", "worker", "set_aside", "facts"

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


def counted(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The try that counts of each trial, by the trial's number: not those that were cut short or set aside."""
    aside = study.user_attrs.get(SET_ASIDE, -1)
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        if trial.number > aside and WITHDRAWN not in trial.user_attrs:
            found.setdefault(trial.user_attrs[NUMBER], trial)
    return dict(sorted(found.items()))


def study_of(study: optuna.Study, **more: Any) -> Study:
    """A study as it is in the storage."""
    trials = study.get_trials(deepcopy=False)
    aside = study.user_attrs.get(SET_ASIDE, -1)
    tries = Counter(t.user_attrs[NUMBER] for t in trials if t.number > aside)
    return Study(
        **study.user_attrs[FACTS],
        trials=[
            Trial(
                number=number,
                state=_STATES[trial.state],
                parameters=trial.params,
                value=trial.value if trial.state is TrialState.COMPLETE else None,
                intermediate=sorted(trial.intermediate_values.items()),
                seconds=trial.user_attrs.get(SECONDS, 0.0),
                error=trial.user_attrs.get(ERROR),
                tries=tries[number],
            )
            for number, trial in counted(study, trials).items()
            if trial.state is not TrialState.WAITING
        ],
        **more,
    )


def facts_of(spec: RunSpec, label: str, metric: str, higher_is_better: bool, unit: str, space: Any) -> dict[str, Any]:
    """What a study in the storage knows of itself."""
    return {
        "spec": spec.model_dump(mode="json"),
        "label": label,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "unit": unit,
        "space": space,
    }


def unfinished(storage: Storage) -> list[Study]:
    """The studies of CrystalBench in a storage, finished or not."""
    database = storage.database
    names = sorted(s.study_name for s in optuna.get_all_study_summaries(database, include_best_trial=False))
    loaded = [optuna.load_study(study_name=name, storage=database) for name in names]
    return [study_of(study) for study in loaded if FACTS in study.user_attrs]
