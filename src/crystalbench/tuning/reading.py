"""Conversion of Optuna's studies and trials to those of CrystalBench, finished or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import State, Study, Trial
from crystalbench.tuning.decision import decide
from crystalbench.tuning.sampler import NUMBER
from crystalbench.tuning.storage import Storage

# Names of user attributes. They are in the databases of unfinished studies, so their values must not change.

WITHDRAWN = "withdrawn"
"""User attribute of an Optuna trial that does not count, for example because its worker died: the reason."""

SECONDS, ERROR, WORKER = "seconds", "error", "worker"
"""User attributes of an Optuna trial: the time it took, why it failed, and the worker that claimed it."""

SCORES = "scores"
"""User attribute of an Optuna trial: the score of each evaluation."""

LAST_DISCARDED = "set_aside"
"""User attribute of a study: the Optuna number of the last trial from before the study was restarted."""

FACTS = "facts"
"""User attribute of a study: its specification, label, metric, unit and search space."""

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


def last_discarded(study: optuna.Study) -> int:
    """The Optuna number of the last discarded trial; -1 if the study was never restarted."""
    return int(study.user_attrs.get(LAST_DISCARDED, -1))


def current_trials(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The trials that count, by their number in the budget.

    Optuna may have several trials for one number: those of workers that died, and those from before a restart.

    Args:
        study: the study.
        trials: all its Optuna trials.
    """
    first = last_discarded(study) + 1
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        if trial.number >= first and WITHDRAWN not in trial.user_attrs:
            found.setdefault(trial.user_attrs[NUMBER], trial)
    return dict(sorted(found.items()))


def to_study(study: optuna.Study, **fields: Any) -> Study:
    """Convert a study of the storage.

    Args:
        study: the Optuna study.
        fields: further fields of the result, such as ``environment`` and ``finished``.
    """
    trials = study.get_trials(deepcopy=False)
    first = last_discarded(study) + 1
    attempts = Counter(t.user_attrs[NUMBER] for t in trials if t.number >= first)
    found = [
        Trial(
            number=number,
            state=_STATES[trial.state],
            parameters=trial.params,
            value=trial.value if trial.state is TrialState.COMPLETE else None,
            scores=trial.user_attrs.get(SCORES, []),
            intermediate=sorted(trial.intermediate_values.items()),
            seconds=trial.user_attrs.get(SECONDS, 0.0),
            error=trial.user_attrs.get(ERROR),
            tries=attempts[number],
        )
        for number, trial in current_trials(study, trials).items()
        if trial.state is not TrialState.WAITING
    ]
    made = Study(**study.user_attrs[FACTS], trials=found, **fields)
    return made.model_copy(update={"decision": decide(found, made.higher_is_better)})


def facts_of(spec: RunSpec, label: str, metric: str, higher_is_better: bool, unit: str, space: Any) -> dict[str, Any]:
    """The value of a study's user attribute `FACTS`.

    Args:
        spec: specification of the study.
        label: the model's name in tables.
        metric: name of the metric that scores a trial.
        higher_is_better: whether a higher value of the metric is better.
        unit: unit of the target.
        space: the search space as JSON.
    """
    return {
        "spec": spec.model_dump(mode="json"),
        "label": label,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "unit": unit,
        "space": space,
    }


def load_studies(storage: Storage) -> list[Study]:
    """The studies of CrystalBench in a storage, finished or not, by name."""
    database = storage.database
    names = sorted(s.study_name for s in optuna.get_all_study_summaries(database, include_best_trial=False))
    loaded = [optuna.load_study(study_name=name, storage=database) for name in names]
    return [to_study(study) for study in loaded if FACTS in study.user_attrs]
