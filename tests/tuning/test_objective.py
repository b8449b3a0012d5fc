"""The objective of a study."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import random_crystals, samples_of
from tunable import Bowl

from crystalbench.errors import DataError
from crystalbench.results.spec import RunSpec, TuningSpec
from crystalbench.targets import Kind
from crystalbench.tuning import Objective
from crystalbench.tuning.objective import InnerSplit


def test_a_metric_that_is_undefined_on_the_selection_rows_says_what_to_do() -> None:
    class Even(Bowl):
        def predict(self, samples):  # type: ignore[no-untyped-def]
            predictions = super().predict(samples)
            return type(predictions)(np.full(len(samples), 0.5))

    training = samples_of(random_crystals(0, 12), Kind.BINARY)
    alike = np.flatnonzero(training.targets == training.targets[0])[:2]
    rest = np.setdiff1d(np.arange(12), alike)
    spec = RunSpec(
        task="t", data="d", fold=0, model="bowl", model_version=1, parameters={}, tuning=TuningSpec(trials=1)
    )
    objective = Objective(spec, Even, training, [InnerSplit(rest[2:], rest[:2], alike)], "rocauc_true")
    with pytest.raises(
        DataError, match=r"rocauc_true is undefined on selection rows with one class .* 2 selection rows"
    ) as caught:
        next(objective(0, {}))
    assert "use more rows, fewer inner folds of tuning (--tune-inner-folds), or another main metric" in str(
        caught.value
    )
