from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.metrics import score
from crystalbench.targets import KINDS, METRICS, Kind, get_metric, main_metric, metrics_of

# The first 12 rows of fold 0 of matbench_phonons (cm⁻¹) and what CrabNet's published entry predicts for them.
PHONONS = [
    (701.5857, 653.0153),
    (1138.5857, 1159.4133),
    (297.5858, 292.7811),
    (523.5857, 525.3378),
    (483.5857, 448.8977),
    (135.9558, 130.8127),
    (366.5857, 472.9207),
    (593.5857, 560.5864),
    (184.5858, 211.4513),
    (335.5858, 333.9083),
    (1292.5857, 1582.55),
    (609.5857, 622.7198),
]
# Rows of fold 0 of matbench_mp_is_metal and coNGN's published probabilities: the first 9 and the first 3 mistakes.
METALS = [
    (0, 0.0),
    (1, 0.9616),
    (1, 1.0),
    (1, 1.0),
    (1, 1.0),
    (1, 1.0),
    (1, 1.0),
    (0, 0.0),
    (0, 0.0249),
    (1, 0.0),
    (0, 0.6214),
    (1, 0.0),
]

finite = st.floats(-1e6, 1e6, allow_nan=False)
pairs = st.integers(1, 60).flatmap(
    lambda n: st.tuples(hnp.arrays(np.float64, n, elements=finite), hnp.arrays(np.float64, n, elements=finite))
)
labelled = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.bool_, n), hnp.arrays(np.float64, n, elements=st.integers(0, 1000).map(lambda p: p / 1000))
    )
)


def test_regression_metrics_computed_by_hand() -> None:
    errors = [p - y for y, p in PHONONS]
    squares, mean = math.fsum(e * e for e in errors), math.fsum(y for y, _ in PHONONS) / 12
    scores = score("regression", *zip(*PHONONS, strict=True))
    assert scores == pytest.approx(
        {
            "mae": math.fsum(map(abs, errors)) / 12,
            "rmse": math.sqrt(squares / 12),
            "r2": 1 - squares / math.fsum((y - mean) ** 2 for y, _ in PHONONS),
            "max_error": 1582.55 - 1292.5857,
        },
        rel=1e-12,
    )
    assert list(scores) == ["mae", "rmse", "r2", "max_error"]


def test_binary_metrics_computed_by_hand() -> None:
    # 6 of 8 metals and 3 of 4 others are right. Of the 8 x 4 pairs, 6 x 4 are in order and 2 x 2 are ties.
    scores = score("binary", *zip(*METALS, strict=True))
    clipped = [max(p if y else 1 - p, 1e-15) for y, p in METALS]
    assert scores == pytest.approx(
        {
            "accuracy": 9 / 12,
            "balanced_accuracy": (6 / 8 + 3 / 4) / 2,
            "f1": 2 * 6 / (2 * 6 + 1 + 2),
            "rocauc": 0.75,
            "rocauc_true": (6 * 4 + 2 * 2 / 2) / (8 * 4),
            "log_loss": -math.fsum(map(math.log, clipped)) / 12,
        },
        rel=1e-12,
    )


def test_multiclass_metrics_computed_by_hand() -> None:
    probabilities = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]
    scores = score("multiclass", [0, 1, 1, 2], probabilities)
    assert scores == pytest.approx(
        {
            "accuracy": 3 / 4,
            "balanced_accuracy": (1 + 1 / 2 + 1) / 3,
            "f1": (2 / 3 + 2 / 3 + 1) / 3,
            "rocauc_true": 1.0,
            "log_loss": -(math.log(0.7) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4,
        },
        rel=1e-12,
    )


def test_the_defect_of_matbench_issue_181() -> None:
    # 8 true rows at 0.4 and 2 false ones at 0.2: perfectly ranked, and all below the threshold.
    scores = score("binary", [1] * 8 + [0] * 2, [0.4] * 8 + [0.2] * 2)
    assert scores["rocauc"] == 0.5
    assert scores["rocauc_true"] == 1.0


def test_a_probability_of_one_half_is_class_0() -> None:
    assert score("binary", [0, 1], [0.5, 0.500001])["accuracy"] == 1.0


@pytest.mark.filterwarnings("error")
def test_undefined_is_nan() -> None:
    binary = score("binary", [1, 1, 1], [0.9, 0.8, 0.2])
    assert math.isnan(binary["rocauc"])
    assert math.isnan(binary["rocauc_true"])
    assert binary["balanced_accuracy"] == pytest.approx(2 / 3)
    assert math.isnan(score("regression", [2.0, 2.0], [1.0, 2.0])["r2"])
    assert math.isnan(score("regression", [2.0], [1.0])["r2"])
    multiclass = score("multiclass", [1, 1], [[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    assert math.isnan(multiclass["rocauc_true"])
    assert multiclass["accuracy"] == 0.5
    # A class that does not occur is left out; but if it is predicted, it lowers the F1.
    assert score("multiclass", [0, 1], [[0.8, 0.1, 0.1], [0.1, 0.2, 0.7]])["rocauc_true"] == 1.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrong", [0, 1])
def test_certain_and_wrong_is_finite(wrong: int) -> None:
    scores = score("binary", [1 - wrong, wrong], np.array([wrong, wrong], dtype=np.float32))
    assert scores["log_loss"] == pytest.approx(-math.log(1e-15) / 2, rel=1e-12)
    assert score("binary", [0, 0], [0.0, 0.0])["log_loss"] == 0.0


@given(pairs)
@settings(deadline=None, max_examples=50)
def test_regression_metrics_are_ordered(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = arrays
    scores = score("regression", y, p)
    slack = 1e-9 * (1 + scores["max_error"])
    assert 0 <= scores["mae"] <= scores["rmse"] + slack
    assert scores["rmse"] <= scores["max_error"] + slack
    assert math.isnan(scores["r2"]) or scores["r2"] <= 1
    assert score("regression", y + 0.0, y)["mae"] == 0


@given(labelled)
@settings(deadline=None, max_examples=50)
def test_binary_identities(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = arrays
    scores = score("binary", y, p)
    assert set(scores) == {entry.name for entry in metrics_of("binary")}
    if y.all() or not y.any():
        assert math.isnan(scores["rocauc"])
        return
    assert scores["rocauc"] == pytest.approx(scores["balanced_accuracy"], abs=1e-12)
    monotone = score("binary", y, p**3 / 2 + p / 4)
    assert monotone["rocauc_true"] == pytest.approx(scores["rocauc_true"], abs=1e-12)
    assert score("binary", ~y, 1 - p)["rocauc_true"] == pytest.approx(scores["rocauc_true"], abs=1e-12)
    assert scores["log_loss"] >= 0


@given(labelled)
@settings(deadline=None, max_examples=50)
def test_two_classes_score_as_binary(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = arrays
    two = score("multiclass", y, np.stack([1 - p, p], axis=1))
    one = score("binary", y, p)
    for name in ("accuracy", "balanced_accuracy", "rocauc_true", "log_loss"):
        assert two[name] == pytest.approx(one[name], rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("kind", "targets", "predictions", "message"),
    [
        ("regression", [1.0, 2.0], [1.0], r"\(2,\) and \(1,\)"),
        ("regression", [], [], "n at least 1"),
        ("regression", [1.0, 2.0], [[1.0], [2.0]], r"predictions of shape \(n,\)"),
        ("regression", [1.0, 2.0, 3.0], [1.0, np.nan, np.inf], r"prediction of row 1 is nan.*2 of 3 rows"),
        ("regression", [np.nan, 2.0], [1.0, 1.0], "target of row 0 is nan"),
        ("regression", ["a"], [1.0], "must be numbers"),
        ("binary", [0, 2], [0.1, 0.1], "target of row 1 is 2.0: it must be a class, 0 to 1"),
        ("binary", [0, 1], [0.1, 1.1], "prediction of row 1 is 1.1: it must be a probability"),
        ("binary", [0, 1], [[0.9, 0.1], [0.1, 0.9]], r"shape \(n,\)"),
        ("multiclass", [0, 1], [0.5, 0.5], r"\(n, classes\)"),
        ("multiclass", [0, 3], [[0.5, 0.2, 0.3], [0.5, 0.2, 0.3]], "0 to 2"),
        ("multiclass", [0, 1], [[0.5, 0.5], [0.5, 0.6]], "row 1 .* must sum to 1"),
    ],
)
def test_bad_input_is_named(kind: str, targets: list[float], predictions: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(kind, targets, predictions)


def test_registry() -> None:
    assert set(KINDS) == set(Kind)
    for kind in Kind:
        names = [entry.name for entry in metrics_of(kind)]
        assert main_metric(kind).name in names
        assert len(names) == len(set(names))
    assert {entry for entry in METRICS if not METRICS[entry].higher_is_better} == {
        "mae",
        "rmse",
        "max_error",
        "log_loss",
    }
    assert get_metric("rocauc").kinds == ("binary",)
    with pytest.raises(UnknownNameError, match="Did you mean 'rocauc'"):
        get_metric("roc_auc")
    with pytest.raises(UnknownNameError, match="kind of task"):
        score("clustering", [1], [1])


def test_metrics_do_not_import_torch() -> None:
    code = "import crystalbench.evaluation.published, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
