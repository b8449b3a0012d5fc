"""A crystal that follows from its space group and its occupied Wyckoff positions alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import spglib

from crystalbench.data.elements import MAX_Z
from crystalbench.data.views.chemistry import VOLUME_PER_ATOM
from crystalbench.data.views.rows import Floats, OneCrystal

SHAPES: dict[int, tuple[float, float, float, float, float, float]] = {
    2: (1.0, 1.13, 1.29, 76.0, 81.0, 97.0),
    15: (1.0, 1.13, 1.29, 90.0, 103.0, 90.0),
    74: (1.0, 1.13, 1.29, 90.0, 90.0, 90.0),
    142: (1.0, 1.0, 1.29, 90.0, 90.0, 90.0),
    194: (1.0, 1.0, 1.43, 90.0, 90.0, 120.0),
    230: (1.0, 1.0, 1.0, 90.0, 90.0, 90.0),
}
"""Relative lengths, and angles in degrees, of the standard cells of all space groups up to a number."""

_CANDIDATES = 12
"""Free coordinates that are tried for an orbit; the one with most space is taken."""
_START = np.array([0.1547, 0.2718, 0.3874])
_STEP = np.array([0.7549, 0.5698, 0.8192])
"""Start and step of a sequence of points that covers the cell evenly, without special points."""

_SAME = 1e-3
"""Fractional coordinates that differ by less are equal."""
_IMAGES = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)


@dataclass(frozen=True)
class _Group:
    """Operations of a space group in its standard setting.

    Attributes:
        rotations: (operations, 3, 3).
        translations: (operations, 3).
        origins: (shifts, 3) shifts of the origin that map the operations onto themselves.
        lattice: (3, 3) a cell of volume 1 without accidental symmetry.
    """

    rotations: npt.NDArray[np.int64]
    translations: Floats
    origins: Floats
    lattice: Floats


@dataclass(frozen=True)
class _Position:
    """A Wyckoff position: the points base + projector @ (any point), and their images under the group."""

    multiplicity: int
    base: Floats
    projector: Floats

    @property
    def key(self) -> tuple[float, ...]:
        base = np.round(self.base, 5) + 0.0
        return (self.multiplicity, *np.round(self.projector, 5).ravel(), float(np.round(base @ base, 5)), *base)


def built_from_symmetry(hall: int, orbits: list[Floats]) -> OneCrystal:
    """A crystal with the same space group and Wyckoff positions, but free parameters that follow from these.

    Free coordinates are taken from a fixed sequence, the shape of the cell from the crystal system, and its volume is
    20 Å³ per atom. Origins that the space group does not distinguish give the same crystal.

    Args:
        hall: Hall number of the standard setting.
        orbits: (multiplicity, 3) fractional coordinates of each orbit in the standard cell.

    Returns:
        The standard cell; every orbit has an atomic number of its own, counted from 1.
    """
    group = _group(hall)
    described = [
        sorted((_position((orbit + origin) % 1.0, group) for orbit in orbits), key=lambda position: position.key)
        for origin in group.origins
    ]
    positions = min(described, key=lambda described: [position.key for position in described])
    placed = np.zeros((0, 3))
    counts = []
    for number, position in enumerate(positions):
        free = (_START + np.arange(number * _CANDIDATES, (number + 1) * _CANDIDATES)[:, None] * _STEP) % 1
        points = free[: _CANDIDATES if position.projector.any() else 1]
        candidates = [_orbit_of(position.base + position.projector @ point, group) for point in points]
        new = max(candidates, key=lambda points: round(_space(group.lattice, placed, points), 6))
        placed = np.concatenate([placed, new])
        counts.append(len(new))
    numbers = np.repeat(np.arange(len(counts)) % MAX_Z + 1, counts).astype(np.uint8)
    return OneCrystal(group.lattice * np.cbrt(VOLUME_PER_ATOM * len(placed)), placed, numbers)


@functools.cache
def _group(hall: int) -> _Group:
    operations: Any = spglib.get_symmetry_from_database(hall)
    rotations, translations = operations["rotations"].astype(np.int64), operations["translations"]
    space_group: Any = spglib.get_spacegroup_type(hall)
    return _Group(rotations, translations, _origins(rotations, translations), _lattice(int(space_group.number)))


def _origins(rotations: npt.NDArray[np.int64], translations: Floats) -> Floats:
    """(shifts, 3) origins at which the operations are the same, without those that differ by a lattice vector.

    Shifts along directions that all operations leave unchanged do not count: every position is free along them.
    """
    identity = np.equal(rotations, np.eye(3)).all(axis=(1, 2))
    centring = translations[identity]
    fixed = np.eye(3) - rotations.mean(axis=0)
    found: list[Floats] = []
    for shift in product((0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4), repeat=3):
        origin = fixed @ np.array(shift)
        if not _in_lattice((rotations - np.eye(3)) @ origin, centring).all():
            continue
        if not any(_in_lattice((origin - other)[None], centring)[0] for other in found):
            found.append(origin)
    return np.array(found)


def _in_lattice(vectors: Floats, centring: Floats) -> npt.NDArray[np.bool_]:
    """Whether each of (n, 3) vectors is a lattice vector, given the (m, 3) centring vectors of the cell."""
    rest = vectors[:, None] - centring[None]
    integer = np.abs(rest - np.round(rest)).max(axis=2) < _SAME
    return np.asarray(integer.max(axis=1))


def _lattice(number: int) -> Floats:
    """(3, 3) the fixed standard cell of a space group, with a volume of 1."""
    shape = next(shape for last, shape in SHAPES.items() if number <= last)
    cosines = np.eye(3)
    for (i, j), angle in zip(((1, 2), (0, 2), (0, 1)), shape[3:], strict=True):
        cosines[i, j] = cosines[j, i] = np.round(np.cos(np.radians(angle)), 12)
    lattice = np.linalg.cholesky(cosines * np.outer(shape[:3], shape[:3]))
    return np.asarray(lattice / np.cbrt(np.linalg.det(lattice)))


def _position(orbit: Floats, group: _Group) -> _Position:
    """The Wyckoff position of an orbit.

    Of all members of the orbit and their nearest images, the one with the smallest projector and base describes it, so
    that the description does not depend on the free coordinates of the orbit.
    """
    shifts = np.einsum("oij,mj->moi", group.rotations, orbit) + group.translations - orbit[:, None]
    fixing = (np.abs(shifts - np.round(shifts)) < _SAME).all(axis=2)
    projectors = np.einsum("mo,oij->mij", fixing, group.rotations) / fixing.sum(axis=1)[:, None, None]
    if not (fixing.sum(axis=1) > 1).any():
        return _Position(len(orbit), np.zeros(3), np.eye(3))  # a general position
    bases = np.einsum("mij,mkj->mki", np.eye(3) - projectors, orbit[:, None] + _IMAGES)
    exact = np.round(bases * 48) / 48
    bases = np.where(np.abs(bases - exact) < _SAME, exact, bases)
    columns = np.concatenate(
        [np.repeat(projectors.reshape(-1, 1, 9), 27, axis=1), (bases**2).sum(2)[..., None], bases], 2
    )
    rows = np.round(columns.reshape(-1, 13), 5) + 0.0
    first = int(np.lexsort(rows.T[::-1])[0])
    return _Position(len(orbit), bases.reshape(-1, 3)[first], projectors[first // 27])


def _orbit_of(point: Floats, group: _Group) -> Floats:
    """The images of a point in the cell, each once, in a fixed order."""
    points = np.round((group.rotations @ point + group.translations) % 1.0, 6) % 1.0
    distances = np.abs(points[:, None] - points[None])
    same = (np.minimum(distances, 1 - distances) < 1e-5).all(axis=2)
    return np.asarray(points[np.argmax(same, axis=1) == np.arange(len(points))])


def _space(lattice: Floats, placed: Floats, new: Floats) -> float:
    """The least distance of an atom of a new orbit to all atoms and their images."""
    offsets = np.concatenate([placed, new]) - new[0]
    offsets -= np.round(offsets)
    lengths = np.linalg.norm((offsets[:, None] + _IMAGES) @ lattice, axis=2)
    return float(lengths[lengths > 1e-6].min())
