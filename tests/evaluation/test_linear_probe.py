"""Ridge regression from embeddings: against scikit-learn, and on planted signals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from crystalbench.evaluation import linear_probe as module
from crystalbench.evaluation.linear_probe import STRENGTHS, exchanged, linear_probe

ROWS = np.arange(120)
TRAIN, TEST = ROWS[ROWS % 3 != 0], ROWS[ROWS % 3 == 0]


def embeddings(columns: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(ROWS), columns)) * np.arange(1, columns + 1)


def test_predictions_are_those_of_scikit_learn() -> None:
    x, rng = embeddings(), np.random.default_rng(1)
    y = rng.standard_normal((120, 2))
    for strength, found in zip(STRENGTHS, module._ridge(x[TRAIN], y[TRAIN], x[TEST]), strict=True):
        assert found == pytest.approx(
            Ridge(alpha=strength).fit(x[TRAIN], y[TRAIN]).predict(x[TEST]), rel=1e-6, abs=1e-9
        )


def test_what_is_in_the_embedding_is_found_and_what_is_not_is_not() -> None:
    x, rng = embeddings(), np.random.default_rng(2)
    known, unknown = 5 + x[:, 0] - 0.1 * x[:, 3], rng.standard_normal(120)
    scores = linear_probe(x, np.stack([known, unknown], axis=1), TRAIN, TEST)
    assert scores[0] > 0.98
    assert -0.2 < scores[1] < 0.1
    control = linear_probe(x, exchanged(known[:, None], TRAIN), TRAIN, TEST)
    assert -0.2 < control[0] < 0.1
    assert linear_probe(x, np.stack([known, unknown], axis=1), TRAIN, TEST) == pytest.approx(scores)


def test_a_score_is_the_coefficient_of_determination() -> None:
    x = embeddings()
    y = x[:, :1] + np.random.default_rng(3).standard_normal((120, 1))
    mean, spread = x[TRAIN].mean(0), x[TRAIN].std(0)
    standardised = (x - mean) / spread
    possible = [
        r2_score(
            y[TEST],
            np.clip(
                Ridge(alpha=strength).fit(standardised[TRAIN], y[TRAIN]).predict(standardised[TEST]).reshape(-1, 1),
                y[TRAIN].min(),
                y[TRAIN].max(),
            ),
        )
        for strength in STRENGTHS
    ]
    (found,) = linear_probe(x, y, TRAIN, TEST)
    assert np.abs(np.array(possible) - found).min() < 1e-9


def test_the_control_exchanges_the_training_targets_only() -> None:
    y = embeddings(2)
    control = exchanged(y, TRAIN)
    assert np.array_equal(control[TEST], y[TEST])
    assert sorted(map(tuple, control[TRAIN])) == sorted(map(tuple, y[TRAIN]))
    assert (control[TRAIN] != y[TRAIN]).mean() > 0.9


def test_missing_and_constant_targets() -> None:
    x = embeddings()
    y = np.stack([x[:, 0], x[:, 0], np.ones(120), np.full(120, np.nan)], axis=1)
    y[::7, 1] = np.nan
    scores = linear_probe(x, y, TRAIN, TEST)
    assert scores[:2] == pytest.approx(1, abs=0.03)  # a few test rows are outside the range
    assert np.isnan(scores[2:]).all()
    assert linear_probe(x, np.zeros((120, 0)), TRAIN, TEST).shape == (0,)


def test_an_embedding_of_constants_says_nothing() -> None:
    x = 1e6 + 1e-7 * embeddings()
    (score,) = linear_probe(x, embeddings()[:, :1], TRAIN, TEST)
    assert -0.2 < score <= 0


def test_predictions_stay_within_the_range_of_the_training_targets() -> None:
    x = embeddings(1)
    x[TEST[0]] = 1e6
    (score,) = linear_probe(x, np.tanh(x[:, :1]), TRAIN, TEST)
    assert score > 0.5
