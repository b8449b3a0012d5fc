"""Numbers that are passed to runs from Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import tiny_task

from crystalbench import api
from crystalbench.errors import ConfigError
from crystalbench.runs import run_models
from crystalbench.runs.numbers import whole_number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", []),
        ("folds", 0),
        ("folds", "01"),
        ("folds", [1.0]),
        ("folds", [True]),
        ("seeds", []),
        ("seeds", [-1]),
        ("seeds", [0.5]),
        ("seeds", [2**70]),
        ("workers", 0),
        ("workers", 1.5),
        ("workers", "2"),
        ("ensemble", "2"),
        ("inner_folds", 2.5),
        ("tuning", 1.5),
        ("tuning", True),
        ("device", "quantum"),
    ],
)
def test_wrong_values_are_refused_and_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name.removesuffix("s")):
        run_models("dummy", tiny_task(), **{name: value})


def test_numpy_integers_and_arrays_are_accepted() -> None:
    folds = np.array([0, 1])
    result = run_models("dummy", tiny_task(), folds=folds, seeds=np.arange(2), workers=np.int64(1))  # type: ignore[arg-type]
    assert [(r.spec.fold, r.spec.seed) for r in result.records] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert whole_number("n", np.int64(3), 1) == 3


@pytest.mark.parametrize("task", [None, 5])
def test_what_is_no_task_is_refused(task: Any) -> None:
    with pytest.raises(ConfigError, match="load_task"):
        api.run("dummy", task)
    with pytest.raises(ConfigError, match="load_task"):
        run_models("dummy", task)


def test_fit_checks_model_seed_and_threads() -> None:
    with pytest.raises(ConfigError, match="subclass"):
        api.fit(int, tiny_task())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="seed = -1"):
        api.fit("dummy", tiny_task(), seed=-1)
    with pytest.raises(ConfigError, match="threads = 0"):
        api.fit("dummy", tiny_task(), threads=0)
