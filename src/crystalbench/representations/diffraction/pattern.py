"""Diffraction patterns: reciprocal-lattice points with intensities, in a cube of Miller indices or in a sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.diffraction.cells import CELLS, standard_cells
from crystalbench.representations.diffraction.intensities import intensity_boxes, mirrored, reciprocal_lattices
from crystalbench.representations.diffraction.permutation import PERMUTATIONS, permuted_pairs
from crystalbench.representations.diffraction.scattering import check_scattering
from crystalbench.representations.representation import Representation

POINTS = ("cube", "sphere")
LARGEST_INDEX = 4
REFLECTION = "reflection"
"""Level of the points of a sphere, whose number varies from crystal to crystal."""

_EDGE = 1e-8  # relative; includes points on the sphere in spite of round-off


@dataclass(frozen=True)
class DiffractionPattern(Representation):
    """Points of the reciprocal lattice and their diffraction intensities.

    The pattern of deepKNet ("Learning the Crystal Structure Genome", Phys. Rev. Research, 2022): the crystal in its
    standard primitive cell, g = (h, k, l) B without 2π, and ``I = |F|² / V²`` without thermal motion, Lorentz and
    polarisation factors, or a wavelength. See `standard_cells`, `form_factors` and `intensity_boxes` for the formulas.
    With ``normalised``, ``|E|²`` takes the place of I. Intensities are computed in double precision and stored in
    single.

    Arrays, always: ``reciprocal`` (n, 3, 3) float32 in Å⁻¹, rows a*, b*, c*.
    With ``points="cube"``: ``intensities`` (n, points) float32 in the order of `miller_indices`.
    With ``points="sphere"``, level ``reflection``: ``intensities`` (rows,) float32 and ``miller`` (rows, 3) int16.

    Attributes:
        points: ``cube`` for all h, k, l from −max_index to max_index, ``sphere`` for all ``|g| ≤ q_max``. The sphere
            does not depend on the choice of the cell. The cube does where a lattice has more symmetry than the crystal,
            because several standard cells exist then.
        max_index: 1 to 4; 0 for only the points 100, 010, 001; −1 for these and 000.
        q_max: radius of the sphere in Å⁻¹.
        scattering: ``xray``, ``neutron`` or ``equal``, where all atoms scatter alike.
        normalised: whether intensities are ``|E|² = |F|² / Σ_j f_j²`` instead of ``|F|² / V²``. In a conventional cell
            with n lattice points, they are n times those of the primitive cell.
        cell: ``primitive`` or ``conventional`` standard cell.
        symprec: tolerance of the symmetry search in Å.
        permutation: ``none``; ``in_shells`` or ``all`` to permute the intensities of each crystal within shells of
            ``|g|`` or over all reflections of the pattern, see `permuted_pairs`. Needs a ``max_index`` of 1 at least.
    """

    packages: ClassVar[tuple[str, ...]] = ("moyopy", "pymatgen")

    points: str = "cube"
    max_index: int = 3
    q_max: float = 1.0
    scattering: str = "xray"
    normalised: bool = False
    cell: str = "primitive"
    symprec: float = 0.1
    permutation: str = "none"

    def __post_init__(self) -> None:
        for name, known in (("points", POINTS), ("cell", CELLS), ("permutation", PERMUTATIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} = {getattr(self, name)!r}; it must be one of {', '.join(known)}")
        check_scattering(self.scattering)
        if not -1 <= self.max_index <= LARGEST_INDEX:
            raise ConfigError(f"max_index = {self.max_index}; it must be -1 to {LARGEST_INDEX}")
        for name in ("q_max", "symprec"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}; it must be positive")
        if self.permutation != "none" and self.points == "cube" and self.max_index < 1:
            raise ConfigError(
                f"permutation = {self.permutation!r} needs pairs g and −g, which max_index = {self.max_index} lacks; "
                "it must be 1 or larger"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result; without the permutation if there is none, as before it existed."""
        recipe = super().recipe
        if self.permutation == "none":
            del recipe["options"]["permutation"]
        return recipe

    def __call__(self, inputs: Inputs) -> Arrays:
        """The patterns of n crystals.

        Raises:
            DataError: the inputs are compositions, or an element has no neutron scattering length.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a diffraction pattern needs crystal structures; these rows are compositions")
        crystals = standard_cells(inputs, self.cell, self.symprec)
        reciprocal = reciprocal_lattices(crystals).astype(np.float32)
        if self.points == "cube":
            intensities = cube_intensities(crystals, self.max_index, self.scattering, self.normalised)
            if self.permutation != "none":
                intensities = _permuted_cube(intensities, crystals, self.max_index, self.permutation)
            return Arrays(
                values={"reciprocal": reciprocal, "intensities": intensities.astype(np.float32)},
                layouts={"reciprocal": Layout(CRYSTAL), "intensities": Layout(CRYSTAL)},
                offsets={},
                length=len(crystals),
            )
        miller, intensities, counts = sphere_intensities(crystals, self.q_max, self.scattering, self.normalised)
        if self.permutation != "none":
            intensities = _permuted_sphere(intensities, miller, counts, crystals, self.permutation)
        return Arrays(
            values={
                "reciprocal": reciprocal,
                "miller": miller.astype(np.int16),
                "intensities": intensities.astype(np.float32),
            },
            layouts={
                "reciprocal": Layout(CRYSTAL),
                "miller": Layout(REFLECTION),
                "intensities": Layout(REFLECTION),
            },
            offsets={REFLECTION: offsets_of(counts)},
            length=len(crystals),
        )


def miller_indices(max_index: int) -> npt.NDArray[np.int64]:
    """Miller indices (points, 3) of a cube, l fastest; see `DiffractionPattern` for 0 and −1."""
    if max_index <= 0:
        return np.concatenate([np.zeros((-max_index, 3), np.int64), np.eye(3, dtype=np.int64)])
    indices = np.arange(-max_index, max_index + 1)
    return np.stack(np.meshgrid(indices, indices, indices, indexing="ij"), axis=-1).reshape(-1, 3)


def cube_intensities(
    crystals: Crystals, max_index: int, scattering: str = "xray", normalised: bool = False
) -> npt.NDArray[np.float64]:
    """Intensities at `miller_indices`, in the cells as given.

    Args:
        crystals: n crystals.
        max_index: largest Miller index; see `DiffractionPattern` for 0 and −1.
        scattering: ``xray``, ``neutron`` or ``equal``.
        normalised: whether to compute ``|E|²`` instead of I.

    Returns:
        (n, points).

    Raises:
        DataError: an element has no neutron scattering length; names the id.
    """
    reach = max(1, max_index)
    full = np.empty((len(crystals), *[2 * reach + 1] * 3))
    for box in intensity_boxes(crystals, np.full((len(crystals), 3), reach), scattering, normalised):
        full[box.rows, :, :, reach:] = box.intensities
        full[box.rows, :, :, :reach] = box.intensities[:, ::-1, ::-1, :0:-1]
    if max_index > 0:
        return full.reshape(len(crystals), (2 * reach + 1) ** 3)
    h, k, l = (miller_indices(max_index) + reach).T  # noqa: E741
    return full[:, h, k, l]


def sphere_intensities(
    crystals: Crystals, q_max: float, scattering: str = "xray", normalised: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Intensities at all points with |g| ≤ q_max, in the cells as given.

    Args:
        crystals: n crystals.
        q_max: radius of the sphere in Å⁻¹.
        scattering: ``xray``, ``neutron`` or ``equal``.
        normalised: whether to compute ``|E|²`` instead of I.

    Returns:
        Miller indices (rows, 3) and intensities (rows,), crystal by crystal, and rows per crystal (n,).

    Raises:
        DataError: an element has no neutron scattering length; names the id.
    """
    owners, miller = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
    values = [np.zeros(0)]
    for box in intensity_boxes(crystals, sphere_bounds(crystals, q_max), scattering, normalised):
        inside = mirrored(within(box.squares, q_max))
        crystal, h, k, l = np.nonzero(inside)  # noqa: E741
        owners.append(box.rows[crystal])
        miller.append(np.stack([h, k, l], axis=-1) - np.array(inside.shape[1:]) // 2)
        values.append(mirrored(box.intensities)[inside])
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(miller)[order], np.concatenate(values)[order], np.bincount(owner, minlength=len(crystals))


def sphere_bounds(crystals: Crystals, q_max: float) -> npt.NDArray[np.int64]:
    """Largest Miller indices (n, 3) within a sphere: |h| = |g · a| ≤ q_max |a|."""
    bounds: npt.NDArray[np.int64] = np.floor(q_max * (1 + _EDGE) * np.linalg.norm(crystals.lattices, axis=2)).astype(
        int
    )
    return bounds


def within(squares: npt.NDArray[np.float64], q_max: float) -> npt.NDArray[np.bool_]:
    """Whether points with these squares of |g| lie inside the sphere."""
    return np.asarray(squares <= (q_max * (1 + _EDGE)) ** 2)


def _permuted_cube(
    intensities: npt.NDArray[np.float64], crystals: Crystals, max_index: int, permutation: str
) -> npt.NDArray[np.float64]:
    """Permuted intensities (n, points). In the order of `miller_indices`, −g is as far from the end as g from 0."""
    n, half = len(crystals), intensities.shape[1] // 2
    g = miller_indices(max_index)[:half] @ reciprocal_lattices(crystals)
    first = permuted_pairs(
        intensities[:, :half].ravel(), np.linalg.norm(g, axis=2).ravel(), np.full(n, half), crystals, permutation
    ).reshape(n, half)
    return np.concatenate([first, intensities[:, [half]], first[:, ::-1]], axis=1)


def _permuted_sphere(
    intensities: npt.NDArray[np.float64],
    miller: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    crystals: Crystals,
    permutation: str,
) -> npt.NDArray[np.float64]:
    """Permuted intensities (rows,). The points of a crystal are in an order whose reverse is that of −g."""
    starts = offsets_of(counts)[:-1]
    owners, halves = np.repeat(np.arange(len(crystals)), counts), counts // 2
    place = np.arange(len(intensities)) - starts[owners]
    first = np.flatnonzero(place < halves[owners])
    g = np.einsum("pi,pij->pj", miller[first], reciprocal_lattices(crystals)[owners[first]])
    found = intensities.copy()
    found[first] = permuted_pairs(intensities[first], np.linalg.norm(g, axis=1), halves, crystals, permutation)
    opposite = starts[owners[first]] + counts[owners[first]] - 1 - place[first]
    found[opposite] = found[first]
    return found
