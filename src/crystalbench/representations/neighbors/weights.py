"""Weights that end a neighbourhood of k atoms continuously."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]


def shared_weights(ascending: _Floats, k: int, softening: float) -> _Floats:
    """Weights of neighbours in [0, 1] whose sum is k, where the last shells share what the nearer ones leave.

    With the distance D of the k-th neighbour and δ = ``softening``, a neighbour is near to the degree n, which is 1 up
    to D − δ and falls to 0 at D, and within reach to the degree r, which is 1 up to D and falls to 0 at D + δ. Its
    weight is n + c (1 − n) r, where c makes the sum k. Since (1 − n) r is 1 at D, c is defined, and it is at most 1,
    since the first k neighbours are within reach.

    So equal distances have equal weights; the weights are continuous in the distances; and if the first k neighbours
    are complete shells, with the next one at least δ farther, they have the weight 1 and all others 0.

    Args:
        ascending: (atoms, m) distances in Å in ascending order, m at least k, without any but neighbours up to D + δ.
        k: sum of the weights.
        softening: δ in Å.

    Returns:
        (atoms, m).
    """
    beyond = (ascending - ascending[:, k - 1 : k]) / softening
    near = _falling(beyond + 1)
    far = (1 - near) * _falling(beyond)
    return np.asarray(near + far * ((k - near.sum(1, keepdims=True)) / far.sum(1, keepdims=True)))


def _falling(x: _Floats) -> _Floats:
    """1 up to x = 0, 0 from x = 1 on, and a cubic in between with zero slope at both ends."""
    x = np.clip(x, 0, 1)
    return 1 - x * x * (3 - 2 * x)
