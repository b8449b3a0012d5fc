"""Linear probes: how much of a number a linear function of an embedding tells.

What a linear function cannot read may still be in an embedding; but a network whose head is to use it would have to
make it more explicit. An embedding of random weights is the floor: it contains much of its input.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

STRENGTHS = tuple(10.0**power for power in range(-4, 7))
"""Strengths of the regularisation to choose from, for standardised columns."""

INNER_FOLDS = 5

_CONSTANT = 1e-9
"""Columns with a smaller standard deviation, relative to their size, are left out: they are round-off."""


def linear_probe(embeddings: _Floats, targets: _Floats, train: _Ints, test: _Ints, seed: int = 0) -> _Floats:
    """Coefficients of determination of ridge regressions from embeddings to targets.

    The strength of the regularisation is chosen for each target by the squared error on inner folds of the training
    rows. Columns are standardised by the training rows, and predictions are clipped to the range of their targets.

    Args:
        embeddings: (n, p).
        targets: (n, q); NaN where a row has no target, which is then left out.
        train: rows to fit and to choose on.
        test: rows to score.
        seed: seed of the inner folds.

    Returns:
        (q,) R² on the test rows; NaN for a target that is constant on the training or the test rows, or has too few.
    """
    found = np.full(targets.shape[1], np.nan)
    if not targets.shape[1]:
        return found
    patterns, which = np.unique(np.isfinite(targets), axis=1, return_inverse=True)
    for number, known in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == number)
        mine, others = train[known[train]], test[known[test]]
        if len(mine) < 2 * INNER_FOLDS or len(others) < 2:
            continue
        columns = columns[
            (np.ptp(targets[np.ix_(mine, columns)], 0) > 0) & (np.ptp(targets[np.ix_(others, columns)], 0) > 0)
        ]
        if len(columns):
            x, z = _standardised(embeddings[mine], embeddings[others])
            found[columns] = _scores(x, targets[np.ix_(mine, columns)], z, targets[np.ix_(others, columns)], seed)
    return found


def exchanged(targets: _Floats, train: _Ints, seed: int = 0) -> _Floats:
    """The targets (n, q) with those of the training rows exchanged among them, the control of `linear_probe`."""
    control = targets.copy()
    control[train] = targets[np.random.RandomState(seed).permutation(train)]  # its stream never changes
    return control


def _standardised(x: _Floats, z: _Floats) -> tuple[_Floats, _Floats]:
    """Both parts, standardised by the first, without the columns that are constant there."""
    mean, spread = x.mean(0), x.std(0)
    kept = spread > _CONSTANT * np.maximum(1, np.abs(x).max(0))
    return tuple((part[:, kept] - mean[kept]) / spread[kept] for part in (x, z))


def _scores(x: _Floats, y: _Floats, z: _Floats, truth: _Floats, seed: int) -> _Floats:
    """R² (q,) of predictions for z, with a strength for each of the q targets."""
    if x.shape[1]:
        errors = np.zeros((len(STRENGTHS), y.shape[1]))
        part = np.random.RandomState(seed).permutation(len(x)) % INNER_FOLDS
        for inner in range(INNER_FOLDS):
            left, right = part != inner, part == inner
            for number, found in enumerate(_ridge(x[left], y[left], x[right])):
                errors[number] += ((found - y[right]) ** 2).sum(0)
        chosen = errors.argmin(0)
        predicted = np.stack(_ridge(x, y, z))[chosen, :, np.arange(y.shape[1])].T
    else:
        predicted = np.tile(y.mean(0), (len(z), 1))
    predicted = np.clip(predicted, y.min(0), y.max(0))
    return np.asarray(1 - ((predicted - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0))


def _ridge(x: _Floats, y: _Floats, z: _Floats) -> list[_Floats]:
    """Predictions (m, q) of ridge regression for each of `STRENGTHS`, from one singular value decomposition.

    scikit-learn's `Ridge` decomposes the matrix again for every strength.
    """
    center, offset = x.mean(0), y.mean(0)
    u, s, v = np.linalg.svd(x - center, full_matrices=False)
    projected, right = u.T @ (y - offset), (z - center) @ v.T
    return [right @ ((s / (s**2 + strength))[:, None] * projected) + offset for strength in STRENGTHS]
