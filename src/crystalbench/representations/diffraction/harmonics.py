"""Spherical harmonics of even degree, for functions with inversion symmetry."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def even_harmonics(directions: npt.NDArray[np.float64], l_max: int) -> npt.NDArray[np.complex128]:
    """Y_lm for l = 0, 2, ... l_max and m = 0 ... l, times √(4π / (2l + 1)).

    For a real function, Σ_m |c_lm|² over m = −l ... l is |c_l0|² + 2 Σ_{m>0} |c_lm|². The factor √2 of m > 0 is
    included here, so that the sum of the squared moduli gives this value, and Σ_m Y_lm(u) Y_lm(v)* has the real part
    P_l(u · v) (addition theorem). The associated Legendre functions follow from the usual recursion in l.

    Args:
        directions: (points, 3) unit vectors.
        l_max: even.

    Returns:
        (points, Σ_l (l + 1)): one column per l and m, m fastest; see `degrees`.
    """
    x, y, z = directions.T
    spin = np.ones(len(directions), dtype=np.complex128)  # (x + iy)^m
    columns: dict[tuple[int, int], npt.NDArray[np.complex128]] = {}
    for m in range(l_max + 1):
        # q_l = √((l − m)! / (l + m)!) P_lm(z) / (1 − z²)^(m / 2)
        before, now = np.zeros_like(z), np.full_like(z, _start(m))
        for degree in range(m, l_max + 1):
            if degree % 2 == 0:
                columns[degree, m] = now * spin * (math.sqrt(2) if m else 1.0)
            above = math.sqrt((degree + 1) ** 2 - m**2)
            before, now = now, ((2 * degree + 1) * z * now - math.sqrt(degree**2 - m**2) * before) / above
        spin = spin * (x + 1j * y)
    return np.stack([columns[degree, m] for degree in range(0, l_max + 1, 2) for m in range(degree + 1)], axis=1)


def degrees(l_max: int) -> npt.NDArray[np.int64]:
    """Degree l of each column of `even_harmonics`."""
    even = np.arange(0, l_max + 1, 2)
    return np.repeat(even, even + 1)


def _start(m: int) -> float:
    """√(1 / (2m)!) (2m − 1)!!, the value of q at l = m."""
    return math.prod(math.sqrt((2 * k - 1) / (2 * k)) for k in range(1, m + 1))
