"""Scattering by single atoms: X-ray form factors, neutron scattering lengths (pymatgen's tables), equal scatterers."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import MAX_Z, SYMBOLS
from crystalbench.errors import ConfigError, DataError

SCATTERINGS = ("xray", "neutron", "equal")

EQUAL_LENGTH = 10.0
"""What every atom scatters with ``scattering="equal"``.

The unit is arbitrary. The value lies among numbers of electrons and scattering lengths in fm, so that the constants of
logarithmic scales matter as little as for X-rays and neutrons.
"""

_LAST_XRAY = 98  # californium
_VALUES = 1 << 13  # form factors computed at once: few enough for the processor's cache


def check_scattering(scattering: str) -> None:
    """Raise an error for an unknown kind of scattering.

    Raises:
        ConfigError: it is not in `SCATTERINGS`.
    """
    if scattering not in SCATTERINGS:
        raise ConfigError(f"scattering = {scattering!r}; it must be one of {', '.join(SCATTERINGS)}")


def check_effect(scattering: str, intensities: str) -> None:
    """Raise an error for a kind of scattering that has no effect.

    Raises:
        ConfigError: intensities are not seen, so that two configurations would be the same.
    """
    if intensities == "none" and scattering != SCATTERINGS[0]:
        raise ConfigError(
            f"scattering = {scattering!r} has no effect with intensities = 'none'; leave it at {SCATTERINGS[0]!r}"
        )


def require_scattering(crystals: Crystals, scattering: str) -> None:
    """Raise an error for crystals with an element of unknown scattering length.

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
    """Form factors or scattering lengths of atoms.

    X-rays: f(s) = Z − 41.78214 s² Σ_k a_k exp(−b_k s²), in electrons (pymatgen's parametrisation; De Graef and McHenry,
    Structure of Materials, 2012). pymatgen has parameters up to californium; heavier elements get the form factor of
    californium times Z / 98. Neutrons: the bound coherent scattering length in fm, natural isotopes, for every s. Equal
    scatterers: `EQUAL_LENGTH` for every element and s, so that only the positions of the atoms matter.

    Args:
        numbers: (p,) atomic numbers.
        s_squared: (p, points) squares of s = |g| / 2 = sin θ / λ, in Å⁻².
        scattering: ``xray``, ``neutron`` or ``equal``.

    Returns:
        (p, points).
    """
    if scattering == "equal":
        return np.broadcast_to(EQUAL_LENGTH, s_squared.shape)
    if scattering == "neutron":
        return np.broadcast_to(_scattering_lengths()[numbers][:, None], s_squared.shape)
    import torch  # several times faster than NumPy here

    heights, decays, constants = (torch.from_numpy(table[numbers]) for table in _xray_parameters())
    s_values = torch.from_numpy(s_squared)
    factors = torch.empty_like(s_values)
    step = max(1, _VALUES // s_squared.shape[1])
    for start in range(0, len(numbers), step):
        rows = slice(start, start + step)
        terms = (decays[rows, :, None] * s_values[rows, None]).exp_()
        torch.bmm(heights[rows, None], terms, out=factors[rows, None])
    factors *= s_values
    factors += constants[:, None]
    return factors.numpy()


@functools.cache
def _xray_parameters() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """−41.78214 a and −b (119, 4) and Z (119,) of the formula by atomic number; heavier elements from californium."""
    table = _table("atomic_scattering_params.json")
    pairs = np.zeros((MAX_Z + 1, 4, 2))
    for z in range(1, MAX_Z + 1):
        rows = table[SYMBOLS[min(z, _LAST_XRAY)]]
        pairs[z, : len(rows)] = rows
    numbers = np.arange(MAX_Z + 1.0)
    pairs[..., 0] *= np.maximum(numbers / _LAST_XRAY, 1)[:, None]
    return -41.78214 * pairs[..., 0], -pairs[..., 1], numbers


@functools.cache
def _scattering_lengths() -> npt.NDArray[np.float64]:
    """Bound coherent scattering lengths (119,) in fm by atomic number; NaN if unknown."""
    table = _table("neutron_scattering_length.json")
    return np.array([float(table.get(symbol, "nan")) for symbol in SYMBOLS])


def _table(name: str) -> dict[str, Any]:
    file = importlib.resources.files("pymatgen.analysis.diffraction") / name
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table
