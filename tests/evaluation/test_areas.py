"""Areas under ROC curves: against scikit-learn, and the bootstrap over clusters of rows and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from crystalbench.errors import DataError
from crystalbench.evaluation.areas import Area, Draws, Scored, _areas, scored

IDS = pd.Index([f"r{k:03d}" for k in range(200)])


def planted(n: int = 200, seed: int = 0, strength: float = 1.0, seeds: int = 1, noise: float = 0.0) -> Scored:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    base = strength * y + rng.normal(size=n)
    found = tuple(1 / (1 + np.exp(-(base + noise * rng.normal(size=n)))) for _ in range(seeds))
    return Scored(np.arange(n), y, found, stream=0)


def test_weighted_areas_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    positive, scores = rng.random(60) < 0.4, rng.integers(0, 8, 60) / 8  # with ties
    weights = rng.integers(0, 4, (5, 60)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(_areas(weights, positive, scores), expected, atol=1e-12)
    assert np.isnan(_areas(np.ones((1, 60)), np.ones(60, np.bool_), scores)[0])


def test_the_area_of_several_classes_is_the_mean_of_one_versus_rest() -> None:
    rng = np.random.default_rng(2)
    y, raw = rng.integers(0, 3, 200), rng.random((200, 4))
    p = raw / raw.sum(1, keepdims=True)
    found = Scored(np.arange(200), y, (p,), 0).area(Draws.of(IDS, None, draws=3))
    expected = np.mean([roc_auc_score(y == c, p[:, c]) for c in range(3)])  # no row is of the last class
    assert found.value == pytest.approx(expected)


def test_clusters_are_drawn_as_a_whole() -> None:
    formulas = {name: f"F{k // 10}" for k, name in enumerate(IDS)}
    draws = Draws.of(IDS, formulas, draws=50)
    assert draws.times.shape == (50, 20)
    assert (draws.times.sum(1) == 20).all()
    assert len(set(draws.clusters[:10])) == 1
    alone = Draws.of(IDS, None, draws=50)
    assert alone.times.shape == (50, 200)
    with pytest.raises(DataError, match="r000: has no formula"):
        Draws.of(IDS, {}, draws=2)


def test_intervals_are_wider_for_clusters_of_equal_rows() -> None:
    one = planted(20, seed=3)
    copies = Scored(np.arange(200), np.repeat(one.y, 10), (np.repeat(one.probabilities[0], 10),), 0)
    formulas = {name: f"F{k // 10}" for k, name in enumerate(IDS)}
    widths = [np.diff(copies.area(Draws.of(IDS, clusters, draws=400)).interval)[0] for clusters in (formulas, None)]
    assert widths[0] > 2 * widths[1]


def test_the_interval_covers_the_area_as_often_as_it_says() -> None:
    truth = planted(200_000, seed=9).area(
        Draws(pd.Index(range(200_000)), np.zeros(200_000, int), np.ones((1, 1), np.uint16), 0)
    )
    covered = 0
    for seed in range(100):
        low, high = planted(200, seed=seed).area(Draws.of(IDS, None, draws=200)).interval
        covered += low <= truth.value <= high
    assert 88 <= covered <= 99


def test_seeds_widen_the_interval_without_bias() -> None:
    draws = Draws(IDS, np.arange(200), np.ones((4000, 200), np.uint16), 0)  # no draw of rows: only seeds vary
    one, several = planted(seeds=1), planted(seeds=5, noise=2.0)
    assert np.ptp(one.area(draws).drawn) == 0
    found = several.area(draws)
    by_seed = [roc_auc_score(several.y, p) for p in several.probabilities]
    assert found.value == pytest.approx(np.mean(by_seed))
    assert found.drawn.mean() == pytest.approx(np.mean(by_seed), abs=2e-3)
    assert found.drawn.var() == pytest.approx(np.var(by_seed, ddof=1) / 5, rel=0.15)


def test_p_values_and_differences_of_draws() -> None:
    rng = np.random.default_rng(0)
    a, b = Area(0.8, 0.8 + 0.01 * rng.normal(size=1000)), Area(0.8, 0.8 + 0.01 * rng.normal(size=1000))
    assert (a - b).value == 0
    assert (a - b).p > 0.5
    assert (a - Area(0.7, np.full(1000, 0.7))).p == pytest.approx(2 / 1001)
    assert Area(0.5, np.array([np.nan])).interval == pytest.approx((np.nan, np.nan), nan_ok=True)


def frame(**changes: object) -> pd.DataFrame:
    rows = {
        "model": "m", "fold": [0, 0, 1, 1], "seed": 0, "kind": "binary", "id": ["r003", "r001", "r002", "r000"],
        "target": [1.0, 0.0, 1.0, 0.0], "prediction": [0.3, 0.1, 0.2, 0.0],
    }  # fmt: skip
    return pd.DataFrame({**rows, **changes})


def test_rows_of_all_folds_are_pooled_by_id() -> None:
    draws = Draws.of(IDS, None, draws=2)
    entry, folds = scored(frame(), draws, 0)
    assert folds == 2
    assert entry.y.tolist() == [0, 0, 1, 1]
    assert entry.probabilities[0].tolist() == [0.0, 0.1, 0.2, 0.3]
    incomplete = frame(seed=1).iloc[:2]
    entry, _ = scored(pd.concat([frame(), incomplete]), draws, 0)
    assert len(entry.probabilities) == 1
    entry, _ = scored(pd.concat([frame(), frame(seed=1, prediction=0.5)]), draws, 0)
    assert [p.tolist() for p in entry.probabilities] == [[0.0, 0.1, 0.2, 0.3], [0.5] * 4]


def test_rows_predicted_twice_and_numbers_are_refused() -> None:
    draws = Draws.of(IDS, None, draws=2)
    with pytest.raises(DataError, match="m: r003 is predicted twice with one seed"):
        scored(frame(id=["r003", "r001", "r003", "r000"]), draws, 0)
    with pytest.raises(DataError, match="needs classes, and the target is a number"):
        scored(frame(kind="regression"), draws, 0)
