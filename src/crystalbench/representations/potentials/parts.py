"""Groups of columns that are computed with a potential: given cell, harmonic response, layers, learned features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystalbench.data.views.rows import OneCrystal
from crystalbench.errors import DataError
from crystalbench.representations.potentials import elasticity, layers, phonons
from crystalbench.representations.potentials.force_constants import cells_of, force_constants
from crystalbench.representations.potentials.potential import Potential

Floats = npt.NDArray[np.float64]

MOST_ATOMS = 64
"""Largest primitive cell whose harmonic response is computed."""
MOST_ZONE_ATOMS = 12
"""Largest primitive cell whose 2 × 2 × 2 supercell is computed."""

CELL_LABELS: tuple[str, ...] = (
    "energy per atom",
    "pressure",
    "largest principal stress",
    "smallest principal stress",
    "von Mises stress",
    "largest force",
    "root mean square force",
)
"""Energy in eV per atom, stresses in GPa, forces in eV/Å."""


@dataclass(frozen=True)
class PotentialPart:
    """Columns that are computed together and fail together.

    Attributes:
        name: name of the part, and prefix of its columns.
        labels: names of the columns for a potential.
        compute: columns of a primitive cell.
    """

    name: str
    labels: Callable[[Potential], tuple[str, ...]]
    compute: Callable[[Potential, OneCrystal], Floats]


def cell_columns(potential: Potential, cell: OneCrystal) -> Floats:
    """The numbers of `CELL_LABELS`."""
    found = potential(cells_of(cell))
    stress = found.stresses[0]
    pressure = -np.trace(stress) / 3
    shear = stress + pressure * np.eye(3)
    principal = np.linalg.eigvalsh(stress)
    sizes = np.linalg.norm(found.forces, axis=1)
    return np.array(
        [
            found.energies[0] / len(cell.numbers),
            pressure,
            principal[2],
            principal[0],
            np.sqrt(1.5 * (shear**2).sum()),
            sizes.max(),
            np.sqrt((sizes**2).mean()),
        ]
    )


def harmonic_columns(potential: Potential, cell: OneCrystal) -> Floats:
    """Statistics of the modes at Γ and of the stiffness of sites, and elastic properties.

    Raises:
        DataError: the primitive cell has more than `MOST_ATOMS` atoms, or cannot be evaluated.
    """
    _require_small(cell, MOST_ATOMS)
    constants, masses = force_constants(potential, cell), phonons.masses_of(cell.numbers)
    fixed, relaxed = elasticity.elastic_tensors(potential, cell, constants)
    return np.concatenate(
        [
            phonons.frequency_statistics(*phonons.modes(constants, masses), masses),
            phonons.site_statistics(constants, masses),
            elasticity.elastic_statistics(fixed, relaxed, cell, masses),
        ]
    )


def zone_columns(potential: Potential, cell: OneCrystal) -> Floats:
    """Statistics of the modes of a 2 × 2 × 2 supercell: those at Γ and at the middles of the zone's boundaries.

    Raises:
        DataError: the primitive cell has more than `MOST_ZONE_ATOMS` atoms, or cannot be evaluated.
    """
    _require_small(cell, MOST_ZONE_ATOMS)
    repeated = _doubled(cell)
    constants, masses = force_constants(potential, repeated), phonons.masses_of(repeated.numbers)
    frequencies, vectors = phonons.modes(constants, masses)
    return np.concatenate(
        [
            phonons.frequency_statistics(frequencies, vectors, masses),
            phonons.site_statistics(constants, masses),
            phonons.last_peaks(frequencies),
        ]
    )


def feature_columns(potential: Potential, cell: OneCrystal) -> Floats:
    """Mean and standard deviation over the atoms of the learned features."""
    features = potential(cells_of(cell)).features
    return np.concatenate([features.mean(axis=0), features.std(axis=0)])


def _doubled(cell: OneCrystal) -> OneCrystal:
    """The 2 × 2 × 2 supercell, copy after copy."""
    shifts = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    coords = (cell.coords + shifts[:, None]).reshape(-1, 3) / 2
    return OneCrystal(2 * cell.lattice, coords, np.tile(cell.numbers, len(shifts)), cell.name)


def _require_small(cell: OneCrystal, most: int) -> None:
    if len(cell.numbers) > most:
        raise DataError(f"its primitive cell has {len(cell.numbers)} atoms; at most {most} are computed")


PARTS: dict[str, PotentialPart] = {
    part.name: part
    for part in (
        PotentialPart("cell", lambda potential: CELL_LABELS, cell_columns),
        PotentialPart(
            "harmonic",
            lambda potential: (*phonons.FREQUENCY_LABELS, *phonons.SITE_LABELS, *elasticity.ELASTIC_LABELS),
            harmonic_columns,
        ),
        PotentialPart(
            "zone",
            lambda potential: (*phonons.FREQUENCY_LABELS, *phonons.SITE_LABELS, *phonons.PEAK_LABELS),
            zone_columns,
        ),
        PotentialPart("layers", lambda potential: layers.LAYER_LABELS, layers.layer_columns),
        PotentialPart(
            "features",
            lambda potential: tuple(
                f"{statistic} of feature {k}" for statistic in ("mean", "std_dev") for k in range(potential.features)
            ),
            feature_columns,
        ),
    )
}
"""Groups of columns by name."""
