"""Studies as Optuna knows them, for its plots and importances."""

from __future__ import annotations

import json
import warnings

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from crystalbench.results.study import Study

FEWEST_FOR_IMPORTANCE = 8
"""Completed trials that importances need; with fewer they mean little."""

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def to_optuna(study: Study) -> optuna.Study:
    """The study as an in-memory study of Optuna. Running trials are left out."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(study_name=study.name, direction="maximize" if study.higher_is_better else "minimize")
    space = {name: json_to_distribution(json.dumps(text)) for name, text in study.space.items()}
    for trial in study.trials:
        if trial.state == "running":
            continue
        made.add_trial(
            optuna.trial.create_trial(
                state=_STATES[trial.state],
                params=trial.parameters,
                distributions={name: space[name] for name in trial.parameters},
                value=trial.value,
                intermediate_values=dict(trial.intermediate),
            )
        )
    return made


def importances(study: Study) -> dict[str, float]:
    """Importances of the hyperparameters (PED-ANOVA, Optuna's default), which sum to 1; empty if trials are few.

    Source: Watanabe, Bansal and Hutter, IJCAI 2023.
    """
    values = {t.value for t in study.trials if t.state == "complete"}
    if study.count("complete") < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(to_optuna(study))
