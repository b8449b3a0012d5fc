"""Binding between the layers of layered crystals, from energies with and without the other layers.

Atoms are bonded if their distance is at most 1.25 times the sum of their covalent radii. A crystal is layered if every
connected part of it extends in exactly two directions. If parts extend in fewer, as between large ions, longer bonds
are tried (`BONDED`).

Many data sets of layered materials give a single layer in a cell with vacuum, whose given stacking has no binding. So
copies of one layer are stacked at several gaps and lateral shifts as well. The true stacking is not known then; the
strongest binding over the shifts stands for it. Potentials that were fitted to a functional without dispersion bind
layers too weakly, but in a similar order.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import SYMBOLS
from crystalbench.data.views.rows import OneCrystal
from crystalbench.representations.neighbors import pairs_within
from crystalbench.representations.potentials.potential import Potential

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BONDED = (1.25, 1.4, 1.6, 2.0)
"""Longest bonds, in sums of covalent radii."""
VACUUM = 15.0
"""Distance in Å between a single layer and its images."""
GAPS = (2.5, 3.0, 3.5, 4.0)
"""Distances in Å between the outermost atomic planes of stacked layers."""
SHIFTS = ((0.0, 0.0), (1 / 2, 1 / 2), (1 / 3, 1 / 3), (1 / 3, -1 / 3))
"""Lateral shifts of stacked layers, in vectors of the plane."""

LAYER_LABELS: tuple[str, ...] = (
    "number of layers",
    "atoms in a layer",
    "area per atom",
    "thickness of a layer",
    "given gap",
    "given binding per atom",
    "given binding per area",
    "binding of the best stack per atom",
    "binding of the best stack per area",
    "gap of the best stack",
    *(f"binding per atom at a gap of {gap} Å" for gap in GAPS),
)
"""Lengths in Å, areas in Å², energies in meV; all NaN for a crystal that is not layered."""


class Layers(NamedTuple):
    """The layers of a crystal.

    Attributes:
        atoms: of each layer, the indices of its atoms.
        places: of each layer, connected Cartesian coordinates in Å.
        plane: (2, 3) vectors of the lattice that span the plane.
    """

    atoms: list[Indices]
    places: list[Floats]
    plane: Floats

    @property
    def normal(self) -> Floats:
        """(3,) unit vector across the plane."""
        across = np.cross(*self.plane)
        return np.asarray(across / np.linalg.norm(across))

    @property
    def area(self) -> float:
        """Area of the plane's cell in Å²."""
        return float(np.linalg.norm(np.cross(*self.plane)))

    @property
    def thicknesses(self) -> Floats:
        """(layers,) distance in Å between the outermost atoms of each layer."""
        return np.array([np.ptp(places @ self.normal) for places in self.places])


def layer_columns(potential: Potential, cell: OneCrystal) -> Floats:
    """The numbers of `LAYER_LABELS`."""
    found = find_layers(cell)
    if found is None:
        return np.full(len(LAYER_LABELS), np.nan)
    numbers = [cell.numbers[atoms] for atoms in found.atoms]
    thicknesses, atoms = found.thicknesses, len(cell.numbers)
    given = Crystals.from_flat([cell.lattice], cell.coords, cell.numbers, [atoms], [cell.name])
    single = _stacks(found, [VACUUM], [(0.0, 0.0)], numbers, list(range(len(numbers))), cell.name)
    largest = int(np.argmax([len(part) for part in found.atoms]))
    stacks = _stacks(found, GAPS, SHIFTS, numbers, [largest], cell.name)
    alone = potential(single).energies
    bound = alone.sum() - potential(given).energies[0]
    stacked = (alone[largest] - potential(stacks).energies).reshape(len(GAPS), len(SHIFTS)).max(axis=1)
    in_layer, best = len(found.atoms[largest]), int(stacked.argmax())
    return np.array(
        [
            len(found.atoms),
            in_layer,
            found.area / in_layer,
            thicknesses[largest],
            (cell.volume / found.area - thicknesses.sum()) / len(found.atoms),
            1000 * bound / atoms,
            1000 * bound / found.area / len(found.atoms),
            1000 * stacked[best] / in_layer,
            1000 * stacked[best] / found.area,
            GAPS[best],
            *(1000 * stacked / in_layer),
        ]
    )


def find_layers(cell: OneCrystal) -> Layers | None:
    """The layers of a crystal; None if it is not layered."""
    radii = _radii()[cell.numbers]
    inside = cell.coords - np.floor(cell.coords)
    pairs = pairs_within(cell.lattice, inside @ cell.lattice, 2 * BONDED[-1] * float(radii.max()))
    reaches = pairs.distances / (radii[pairs.centers] + radii[pairs.others])
    for reach in BONDED:
        bonds = [column[reaches <= reach] for column in (pairs.centers, pairs.others, pairs.images.astype(np.int64))]
        parts, cycles = _connected(len(cell.numbers), *bonds)
        extents = [int(np.linalg.matrix_rank(np.array([*own, np.zeros(3)]))) for own in cycles]
        if max(extents) == 3:
            return None
        if min(extents) == 2:
            return _layers(cell, inside, parts, cycles)
    return None


def _layers(
    cell: OneCrystal, inside: Floats, parts: list[dict[int, Indices]], cycles: list[list[Indices]]
) -> Layers | None:
    plane = _plane(np.array(cycles[0]), cell.lattice)
    if plane is None:
        return None
    atoms = [np.array(sorted(part)) for part in parts]
    images = [np.array([part[atom] for atom in sorted(part)]) for part in parts]
    return Layers(atoms, [(inside[a] + i) @ cell.lattice for a, i in zip(atoms, images, strict=True)], plane)


def _connected(
    atoms: int, centers: Indices, others: Indices, images: Indices
) -> tuple[list[dict[int, Indices]], list[list[Indices]]]:
    """Connected parts, as images of their atoms, and the lattice vectors by which each is connected with itself."""
    neighbors: list[list[tuple[int, Indices]]] = [[] for _ in range(atoms)]
    for one, other, image in zip(centers, others, images, strict=True):
        neighbors[one].append((int(other), image))
    parts, cycles, seen = [], [], set()
    for start in range(atoms):
        if start in seen:
            continue
        part: dict[int, Indices] = {start: np.zeros(3, dtype=np.int64)}
        own: list[Indices] = []
        todo = [start]
        while todo:
            atom = todo.pop()
            for other, image in neighbors[atom]:
                place = part[atom] + image
                if other not in part:
                    part[other] = place
                    todo.append(other)
                elif (place != part[other]).any():
                    own.append(place - part[other])
        seen |= set(part)
        parts.append(part)
        cycles.append(own)
    return parts, cycles


def _plane(cycles: Indices, lattice: Floats) -> Floats | None:
    """Two short lattice vectors (2, 3) that span all lattice points of a plane, given vectors within it."""
    across = np.linalg.svd(cycles @ lattice)[2][2]
    steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = steps @ lattice
    lengths = np.linalg.norm(vectors, axis=1)
    inside = (np.abs(vectors @ across) < 1e-3) & (lengths > 0)
    order = np.argsort(lengths[inside], kind="stable")
    steps, vectors = steps[inside][order], vectors[inside][order]
    for other in range(1, len(steps)):
        if np.abs(np.cross(steps[0], steps[other])).any():
            return np.array([vectors[0], vectors[other]])
    return None


def _stacks(
    layers: Layers,
    gaps: tuple[float, ...] | list[float],
    shifts: tuple[tuple[float, float], ...] | list[tuple[float, float]],
    numbers: list[npt.NDArray[np.uint8]],
    chosen: list[int],
    name: str,
) -> Crystals:
    """Crystals of copies of one layer each: for each chosen layer, gap and shift."""
    lattices, coords, elements = [], [], []
    for layer in chosen:
        for gap in gaps:
            for shift in shifts:
                height = (layers.thicknesses[layer] + gap) * layers.normal
                lattices.append(np.array([*layers.plane, height + np.array(shift) @ layers.plane]))
                coords.append(layers.places[layer] @ np.linalg.inv(lattices[-1]))
                elements.append(numbers[layer])
    counts = [len(part) for part in elements]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Crystals(
        np.array(lattices), np.concatenate(coords), np.concatenate(elements), offsets, np.full(len(counts), name)
    )


@functools.cache
def _radii() -> Floats:
    """Covalent radii in Å by atomic number (Cordero et al. 2008, from pymatgen); 1.5 Å for elements beyond curium."""
    return np.array([CovalentRadius.radius.get(symbol, 1.5) for symbol in SYMBOLS])
