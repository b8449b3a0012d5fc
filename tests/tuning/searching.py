"""A search whose objective costs nothing, and what to see of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from helpers import spec
from tunable import Bowl

from crystalbench.results.spec import RunSpec, TuningSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study, study_name
from crystalbench.tuning import Search, Storage, digest_of, space_of
from crystalbench.tuning.objective import Report

SPACE = space_of(Bowl)
DEFAULT = {"x": 2.0, "depth": 10, "shape": "square"}


def asked_for(trials: int | None = 14, minutes: float | None = None, **changes: Any) -> RunSpec:
    tuning = TuningSpec(trials=trials, minutes=minutes, space=digest_of(SPACE))
    return spec(tuning=tuning, **changes)


def searching(folder: Path, question: RunSpec | None = None, **changes: Any) -> Search:
    plain: dict[str, Any] = {
        "spec": question or asked_for(),
        "label": "bowl",
        "metric": "mae",
        "unit": "eV",
        "space": SPACE,
        "default": DEFAULT,
        "storage": Storage.below(folder),
        "files": StudyStore(folder),
    }
    return Search(**{**plain, **changes})


def bowl(number: int, found: Mapping[str, Any], report: Report) -> float:
    """Best at x = 1, round."""
    value: float = (found["x"] - 1) ** 2 + (found["shape"] == "square") + 0.001 * found["depth"]
    return value


def watched(number: int, found: Mapping[str, Any], report: Report) -> float:
    """The same with progress in ten steps."""
    value = bowl(number, found, report)
    for step in range(1, 11):
        report(step, value + 1 / step)
    return value


def course(study: Study) -> list[tuple[Any, ...]]:
    """What happened, without the seconds."""
    return [(t.number, t.state, tuple(sorted(t.parameters.items())), t.value, t.intermediate) for t in study.trials]


def in_storage(task: Search) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=study_name(task.spec), storage=task.storage.database).get_trials()


def refuses(number: int, found: Mapping[str, Any], report: Report) -> float:
    raise AssertionError("nothing is to be tried")
