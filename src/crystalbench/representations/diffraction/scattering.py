"""Scattering by single atoms: X-ray form factors and neutron scattering lengths, from pymatgen's tables."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.crystals import Crystals
from crystalbench.elements import MAX_Z, SYMBOLS
from crystalbench.errors import ConfigError, DataError

SCATTERINGS = ("xray", "neutron")

_LAST_XRAY = 98  # californium


def check_scattering(scattering: str) -> None:
    """Refuse an unknown kind of scattering.

    Raises:
        ConfigError: it is neither ``xray`` nor ``neutron``.
    """
    if scattering not in SCATTERINGS:
        raise ConfigError(f"scattering = {scattering!r}; it must be one of {', '.join(SCATTERINGS)}")


def require_scattering(crystals: Crystals, scattering: str) -> None:
    """Refuse crystals with an element whose scattering is not known.

    Raises:
        DataError: an element has no neutron scattering length; names the id and the element.
    """
    if scattering == "neutron":
        unknown = np.flatnonzero(np.isnan(_scattering_lengths()[crystals.numbers]))
        if len(unknown):
            first = unknown[0]
            raise DataError(
                f"{crystals.ids[crystals.owners[first]]}: no coherent neutron scattering length is known for "
                f"{SYMBOLS[crystals.numbers[first]]}; use X-ray scattering"
            )


def form_factors(
    numbers: npt.NDArray[np.uint8], s_squared: npt.NDArray[np.float64], scattering: str
) -> npt.NDArray[np.float64]:
    """How strongly atoms scatter.

    X-rays: f(s) = Z − 41.78214 s² Σ_k a_k exp(−b_k s²), in electrons (pymatgen's parametrisation; De Graef and McHenry,
    Structure of Materials, 2012). pymatgen has parameters up to californium; heavier elements get californium's form
    factor times Z / 98. Neutrons: the bound coherent scattering length in fm, natural isotopes, for every s.

    Args:
        numbers: (p,) atomic numbers.
        s_squared: (p, points) squares of s = |g| / 2 = sin θ / λ, in Å⁻².
        scattering: ``xray`` or ``neutron``.

    Returns:
        (p, points).
    """
    if scattering == "neutron":
        return np.broadcast_to(_scattering_lengths()[numbers][:, None], s_squared.shape)
    heights, decays, scales = _xray_parameters()
    total = np.zeros(s_squared.shape)
    for a, b in zip(heights[numbers].T, decays[numbers].T, strict=True):
        total += a[:, None] * np.exp(-b[:, None] * s_squared)
    known = np.minimum(numbers, _LAST_XRAY).astype(np.float64)[:, None]
    factors: npt.NDArray[np.float64] = scales[numbers][:, None] * (known - 41.78214 * s_squared * total)
    return factors


@functools.cache
def _xray_parameters() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Heights a and decays b (119, 4) in Å² by atomic number, and factors (119,) that replace missing elements."""
    table = _table("atomic_scattering_params.json")
    pairs = np.zeros((MAX_Z + 1, 4, 2))
    for z in range(1, MAX_Z + 1):
        rows = table[SYMBOLS[min(z, _LAST_XRAY)]]
        pairs[z, : len(rows)] = rows
    scales = np.ones(MAX_Z + 1)
    scales[_LAST_XRAY:] = np.arange(_LAST_XRAY, MAX_Z + 1) / _LAST_XRAY
    return pairs[..., 0], pairs[..., 1], scales


@functools.cache
def _scattering_lengths() -> npt.NDArray[np.float64]:
    """Bound coherent scattering lengths (119,) in fm by atomic number; not a number where none is known."""
    table = _table("neutron_scattering_length.json")
    return np.array([float(table.get(symbol, "nan")) for symbol in SYMBOLS])


def _table(name: str) -> dict[str, Any]:
    file = importlib.resources.files("pymatgen.analysis.diffraction") / name
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table
