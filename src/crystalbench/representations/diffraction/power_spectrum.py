"""Power spectra of diffraction patterns, which do not depend on the orientation of the crystal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.diffraction.harmonics import degrees, even_harmonics
from crystalbench.representations.diffraction.intensities import intensity_boxes, reciprocal_lattices
from crystalbench.representations.diffraction.pattern import sphere_bounds, within
from crystalbench.representations.diffraction.permutation import permuted_pairs
from crystalbench.representations.diffraction.scattering import check_effect, check_scattering
from crystalbench.representations.representation import Representation

FLOOR, SPAN = 1e-6, 15.0
"""deepKNet's scale of intensities: (ln(I + FLOOR) − ln FLOOR) / SPAN, about 0 to 1."""
PRESENT = 1e-3
"""Scaled intensities above this belong to reflections that are present."""

_POINTS = 1 << 14  # points expanded at once


def scaled(intensities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intensities on deepKNet's logarithmic scale."""
    return np.asarray((np.log(intensities + FLOOR) - np.log(FLOOR)) / SPAN)


INTENSITIES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "linear": lambda intensities: intensities,
    "log": scaled,
    "normalised": lambda intensities: intensities,
    "absences": lambda intensities: (scaled(intensities) > PRESENT).astype(np.float64),
    "none": np.ones_like,
    "permuted_in_shells": lambda intensities: intensities,
    "permuted": lambda intensities: intensities,
}

_PERMUTATIONS = {"permuted_in_shells": "in_shells", "permuted": "all"}


@dataclass(frozen=True)
class DiffractionPowerSpectrum(Representation):
    """Distribution of a diffraction pattern over lengths and, independent of orientation, over directions.

    The points within a sphere are expanded in soft radial shells and spherical harmonics, ``c_klm = Σ_g w_k(|g|) u(I_g)
    Y_lm(g / |g|)``, and only the power spectrum ``p_kl = (4π / (2l + 1) Σ_m |c_klm|²)^½`` is kept, which is equal for
    all orientations (Kazhdan, Funkhouser and Rusinkiewicz, Symposium on Geometry Processing, 2003). p_k0 = Σ_g w_k u is
    the powder pattern, and p_kl / p_k0, in [0, 1], describes the arrangement of the points of a shell, as Steinhardt's
    order parameters do for neighbours (Phys. Rev. B 28, 784, 1983). Odd l vanish by Friedel's law and are omitted.

    Limits: the relative orientation of shells is lost, and different arrangements can have equal spectra.

    Shells are Gaussians whose spacing and width are q_max / shells, centred at (k + ½) q_max / shells, times
    ``½ (1 + cos π|g| / q_max)``, so that the spectrum is continuous when a point leaves the sphere. The point 000 is
    stored separately.

    Arrays: ``spectrum`` (n, shells, l_max / 2 + 1) float32, p_kl for even l; ``origin`` (n, 1) float32, the square root
    of I_000, for X-rays the density of electrons in Å⁻³; with normalised intensities that of ``|E_000|² / V``, for
    equal scatterers the density of atoms.

    Attributes:
        q_max: radius of the sphere in Å⁻¹.
        shells: number of radial shells.
        l_max: largest degree of the spherical harmonics, even.
        intensities: u: ``linear`` for I, ``log`` for (ln(I + 1e-6) − ln 1e-6) / 15, ``normalised`` for ``|E|² / V``,
            whose sum over a shell is that of the static structure factor and the same in every cell, ``absences`` for 1
            where ``log`` exceeds 1e-3 and 0 elsewhere, ``none`` for 1 at every point, ``permuted_in_shells`` and
            ``permuted`` for the I of another reflection of the crystal (see `permuted_pairs`).
        scattering: ``xray``, ``neutron`` or ``equal``, where all atoms scatter alike. Without intensities it has no
            effect and cannot be chosen.
        symprec: tolerance of the symmetry search in Å.
    """

    packages: ClassVar[tuple[str, ...]] = ("moyopy", "pymatgen")

    q_max: float = 1.0
    shells: int = 24
    l_max: int = 12
    intensities: str = "linear"
    scattering: str = "xray"
    symprec: float = 0.1

    def __post_init__(self) -> None:
        check_scattering(self.scattering)
        if self.intensities not in INTENSITIES:
            raise ConfigError(f"intensities = {self.intensities!r}; it must be one of {', '.join(INTENSITIES)}")
        check_effect(self.scattering, self.intensities)
        if self.l_max < 0 or self.l_max % 2:
            raise ConfigError(f"l_max = {self.l_max}; it must be even, since odd degrees vanish")
        for name in ("q_max", "shells", "symprec"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}; it must be positive")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The spectra of n crystals.

        Raises:
            DataError: the inputs are compositions, or an element has no neutron scattering length.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a diffraction pattern needs crystal structures; these rows are compositions")
        spectrum, origin = self.of_cells(standard_cells(inputs, "primitive", self.symprec))
        return Arrays(
            values={"spectrum": spectrum.astype(np.float32), "origin": origin.astype(np.float32)},
            layouts={"spectrum": Layout(CRYSTAL), "origin": Layout(CRYSTAL)},
            offsets={},
            length=len(inputs),
        )

    def of_cells(self, crystals: Crystals) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Spectra (n, shells, l_max / 2 + 1) and origins (n, 1) of the given cells, in double precision.

        Raises:
            DataError: an element has no neutron scattering length; names the id.
        """
        reciprocal = reciprocal_lattices(crystals)
        columns = degrees(self.l_max)
        moments = np.zeros((len(crystals), self.shells, len(columns)), dtype=np.complex128)
        origin = np.zeros((len(crystals), 1))
        normalised, permutation = self.intensities == "normalised", _PERMUTATIONS.get(self.intensities)
        for box in intensity_boxes(crystals, sphere_bounds(crystals, self.q_max), self.scattering, normalised):
            values = box.intensities / crystals.volumes[box.rows, None, None, None] if normalised else box.intensities
            h, k, l = (box.miller[..., axis] for axis in range(3))  # noqa: E741
            half = (l > 0) | ((l == 0) & ((h > 0) | ((h == 0) & (k > 0))))  # one of g and −g, without 000
            origin[box.rows, 0] = np.sqrt(values[:, h.shape[0] // 2, h.shape[1] // 2, 0])
            crystal, *at = np.nonzero(within(box.squares, self.q_max) & half)
            weights = values[(crystal, *at)]
            if permutation is not None:
                lengths = np.sqrt(box.squares[(crystal, *at)])
                counts = np.bincount(crystal, minlength=len(box.rows))
                weights = permuted_pairs(weights, lengths, counts, crystals[box.rows], permutation)
            weights = 2 * INTENSITIES[self.intensities](weights)
            for start in range(0, len(crystal), _POINTS):
                part = slice(start, start + _POINTS)
                point = tuple(axis[part] for axis in at)
                owner = crystal[part]
                g = np.einsum("pi,pij->pj", box.miller[point], reciprocal[box.rows[owner]])
                self._add(moments, box.rows[owner], g, weights[part])
        starts = np.searchsorted(columns, np.arange(0, self.l_max + 1, 2))
        return np.sqrt(np.add.reduceat(moments.real**2 + moments.imag**2, starts, axis=2)), origin

    def _add(
        self,
        moments: npt.NDArray[np.complex128],
        owners: npt.NDArray[np.int64],
        g: npt.NDArray[np.float64],
        weights: npt.NDArray[np.float64],
    ) -> None:
        """Add points to the moments c_klm of their crystals; the points of a crystal are adjacent."""
        lengths = np.linalg.norm(g, axis=1)
        spacing = self.q_max / self.shells
        centers = (np.arange(self.shells) + 0.5) * spacing
        radial = np.exp(-0.5 * ((lengths[:, None] - centers) / spacing) ** 2)
        edge = 0.5 * (1 + np.cos(np.pi * np.minimum(lengths / self.q_max, 1)))
        radial *= (edge * weights)[:, None]
        angular = even_harmonics(g / lengths[:, None], self.l_max)
        starts = np.flatnonzero(np.r_[True, np.diff(owners) != 0])
        for first, last in zip(starts, [*starts[1:], len(owners)], strict=True):
            moments[owners[first]] += radial[first:last].T @ angular[first:last]
