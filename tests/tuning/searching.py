"""Searches with an objective function that takes no time, and helpers to inspect their studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from helpers import spec
from optuna.trial import TrialState
from tunable import Bowl

from crystalbench.results.spec import RunSpec, TuningSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study, study_name
from crystalbench.targets import Kind
from crystalbench.tuning import Search, Storage, digest_of, space_of
from crystalbench.tuning.reading import WITHDRAWN

SPACE = space_of(Bowl, Kind.REGRESSION)
DEFAULT = {"x": 2.0, "depth": 10, "shape": "square"}
EVALUATIONS = TuningSpec(trials=1).evaluations


def tuned_spec(trials: int | None = 14, minutes: float | None = None, **changes: Any) -> RunSpec:
    """The specification of a study of `Bowl`."""
    tuning = TuningSpec(trials=trials, minutes=minutes, space=digest_of(SPACE))
    return spec(tuning=tuning, **changes)


def new_search(folder: Path, study_spec: RunSpec | None = None, **changes: Any) -> Search:
    """A search of `Bowl` whose storage and files are in a folder, with some attributes changed."""
    plain: dict[str, Any] = {
        "spec": study_spec or tuned_spec(),
        "label": "bowl",
        "metric": "mae",
        "unit": "eV",
        "space": SPACE,
        "default": DEFAULT,
        "storage": Storage.below(folder),
        "files": StudyStore(folder),
    }
    return Search(**{**plain, **changes})


def depth_of(parameters: Mapping[str, Any]) -> float:
    """Smallest at x = 1, round."""
    value: float = (parameters["x"] - 1) ** 2 + (parameters["shape"] == "square") + 0.001 * parameters["depth"]
    return value


def bowl(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
    """Evaluations that differ by the same amounts in all trials."""
    yield from (depth_of(parameters) + 0.01 * place for place in range(len(EVALUATIONS)))


def history(study: Study) -> list[tuple[Any, ...]]:
    """The trials without their seconds."""
    return [(t.number, t.state, tuple(sorted(t.parameters.items())), t.value, t.scores) for t in study.trials]


def stored_trials(search: Search) -> list[optuna.trial.FrozenTrial]:
    """All Optuna trials of the study, including those that do not count."""
    return optuna.load_study(study_name=study_name(search.spec), storage=search.storage.database).get_trials()


def never_called(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
    raise AssertionError("no trial should be evaluated")


def running_trial(search: Search) -> optuna.trial.FrozenTrial:
    """The only running trial of the study."""
    (running,) = [t for t in stored_trials(search) if t.state is TrialState.RUNNING]
    return running


def take_over(search: Search) -> None:
    """Withdraw the running trial, as a worker does that considers its worker dead."""
    trial, database = running_trial(search), search.storage.database
    database.set_trial_user_attr(trial._trial_id, WITHDRAWN, "its worker is gone")
    database.set_trial_state_values(trial._trial_id, TrialState.FAIL)
