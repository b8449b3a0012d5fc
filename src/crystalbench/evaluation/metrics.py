"""Scores of predictions on one test part, by kind of task.

A score that is undefined is NaN, never a number that looks like a result: for instance if all targets are equal, so
that there is nothing to rank or to explain.

Matbench's ``rocauc`` is not an area under a curve: its ``score_array`` turns the probabilities into labels for the
accuracy and then passes these labels to ``roc_auc_score``, which makes it equal to the balanced accuracy
(github.com/materialsproject/matbench, issues 137 and 181; this holds for every published value). It is kept for
comparison with the published entries; ``rocauc_true`` is the area computed from the probabilities.
"""

from __future__ import annotations

import warnings
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from crystalbench.errors import DataError
from crystalbench.targets import check_kind, metrics_of

THRESHOLD = 0.5
"""A row is assigned to class 1 if its probability is above this, as in Matbench."""

EPSILON = 1e-15
"""Lower bound of the probability of the true class in the logarithmic loss, which keeps it finite."""

_Floats: TypeAlias = NDArray[np.float64]


def score(kind: str, targets: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Score the predictions of one test part.

    Args:
        kind: ``regression``, ``binary`` or ``multiclass``.
        targets: shape (n,). For regression, numbers in the task's unit; for binary targets, 0 or 1; for multiclass
            targets, class numbers 0 to c - 1.
        predictions: for regression, shape (n,), in the same unit; for binary targets, shape (n,), probabilities of
            class 1; for multiclass targets, shape (n, c), probabilities whose rows sum to 1.

    Returns:
        The scores for all metrics of this kind, in the order of `metrics_of`:

        * ``mae``, ``rmse``, ``max_error`` in the unit of the target; ``r2`` is the coefficient of determination, NaN
          if all targets are equal.
        * ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that occur) and ``f1`` (of class 1, or the
          unweighted mean over the classes that occur or are predicted; 0 if no label is right) are computed from
          labels: probability above 0.5, or the most probable class.
        * ``rocauc`` is Matbench's, from the same labels; ``rocauc_true`` is computed from the probabilities, for
          several classes as the unweighted mean of one-versus-rest areas over the classes that occur. Both are NaN if
          only one class occurs.
        * ``log_loss`` is the mean negative natural logarithm of the probability of the true class, at least 1e-15.

    Raises:
        UnknownNameError: there is no such kind.
        DataError: shapes do not match, there are no rows, a value is not finite, a label is not a class, or a
            prediction is not a probability. The message names the first such row, counted from 0.

    Examples:
        >>> scores = score("regression", [1.0, 2.0, 4.0], [1.0, 3.0, 4.0])
        >>> {name: round(value, 3) for name, value in scores.items()}
        {'mae': 0.333, 'rmse': 0.577, 'r2': 0.786, 'max_error': 1.0}
    """
    check_kind(kind)
    y, p = _checked(kind, targets, predictions)
    if kind == "regression":
        values = _regression(y, p)
    elif kind == "binary":
        values = _binary(y.astype(np.intp), p)
    else:
        values = _multiclass(y.astype(np.intp), p)
    return {entry.name: float(values[entry.name]) for entry in metrics_of(kind)}


def _regression(y: _Floats, p: _Floats) -> dict[str, float]:
    return {
        "mae": sk.mean_absolute_error(y, p),
        "rmse": float(np.sqrt(sk.mean_squared_error(y, p))),
        "r2": sk.r2_score(y, p) if (y != y[0]).any() else np.nan,
        "max_error": sk.max_error(y, p),
    }


def _binary(y: NDArray[np.intp], p: _Floats) -> dict[str, float]:
    labels = (p > THRESHOLD).astype(np.intp)
    both = 0 < y.sum() < len(y)
    return {
        **_of_labels(y, labels, average="binary"),
        "rocauc": sk.roc_auc_score(y, labels) if both else np.nan,
        "rocauc_true": sk.roc_auc_score(y, p) if both else np.nan,
        "log_loss": _log_loss(np.where(y == 1, p, 1 - p)),
    }


def _multiclass(y: NDArray[np.intp], p: _Floats) -> dict[str, float]:
    present = np.unique(y)
    areas = [sk.roc_auc_score(y == c, p[:, c]) for c in present] if len(present) > 1 else [np.nan]
    return {
        **_of_labels(y, p.argmax(axis=1), average="macro"),
        "rocauc_true": float(np.mean(areas)),
        "log_loss": _log_loss(p[np.arange(len(y)), y] / p.sum(axis=1)),
    }


def _log_loss(of_true_class: _Floats) -> float:
    return float(-np.log(np.maximum(of_true_class, EPSILON)).mean()) + 0.0  # + 0.0 turns -0.0 into 0.0


def _of_labels(y: NDArray[np.intp], labels: NDArray[np.intp], average: str) -> dict[str, float]:
    with warnings.catch_warnings():  # a class may be predicted without occurring, see the docstring
        warnings.filterwarnings("ignore", message=r"y_pred contains classes not in y_true|A single label was found")
        balanced = sk.balanced_accuracy_score(y, labels)
    return {
        "accuracy": sk.accuracy_score(y, labels),
        "balanced_accuracy": balanced,
        "f1": sk.f1_score(y, labels, average=average, zero_division=0.0),
    }


def _checked(kind: str, targets: ArrayLike, predictions: ArrayLike) -> tuple[_Floats, _Floats]:
    """Targets and predictions as float64, or an error that names the first bad row."""
    try:
        y, p = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Targets and predictions must be numbers: {error}.") from error
    dimensions = 2 if kind == "multiclass" else 1
    if y.ndim != 1 or p.ndim != dimensions or len(y) != len(p) or len(y) == 0:
        wanted = "(n, classes)" if dimensions == 2 else "(n,)"
        raise DataError(
            f"A {kind} task needs targets of shape (n,) and predictions of shape {wanted}, n at least 1: "
            f"got {y.shape} and {p.shape}."
        )
    rows = p.reshape(len(p), -1)
    _refuse(~np.isfinite(y), y, "target", "must be a finite number")
    _refuse(np.asarray(~np.isfinite(rows).all(axis=1)), p, "prediction", "must be finite")
    if kind != "regression":
        classes = rows.shape[1] if kind == "multiclass" else 2
        _refuse((y < 0) | (y >= classes) | (y != np.floor(y)), y, "target", f"must be a class, 0 to {classes - 1}")
        _refuse(np.asarray(((rows < 0) | (rows > 1)).any(axis=1)), p, "prediction", "must be a probability, 0 to 1")
    if kind == "multiclass":
        _refuse(np.abs(rows.sum(axis=1) - 1) > 1e-3, p, "prediction", "must sum to 1 over the classes")
    return y, p


def _refuse(bad: NDArray[np.bool_], values: _Floats, what: str, rule: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(f"The {what} of row {row} is {values[row]}: it {rule} ({int(bad.sum())} of {len(bad)} rows).")
