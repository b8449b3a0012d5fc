"""Voronoi cells of all atoms of a crystal, from one tessellation whose completeness is checked by volume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import spglib
from scipy.spatial import QhullError, Voronoi

from crystalbench.errors import DataError
from crystalbench.representations.neighbors import pairs_within

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FACE_TOLERANCE = 1e-5
"""A face belongs to a neighbour if its solid angle exceeds this fraction of the largest one of the atom."""
VOLUME_TOLERANCE = 1e-6
"""Largest relative difference between the total volume of the Voronoi cells and that of the crystal."""
MOST_POINTS = 100_000
"""Largest number of atoms and images in a tessellation. That many take half a minute; crystals need some hundred."""
_FIRST_RADIUS = 1.9  # times the cube root of the volume per atom; sufficient for most crystals


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of the Voronoi cells of the n atoms of a crystal, grouped by atom.

    Attributes:
        atoms: number of atoms, n.
        centers: (f,) index of the atom inside, ascending.
        others: (f,) index of the atom on the other side, which may be a periodic image.
        vectors: (f, 3) vectors from the atom inside to the atom on the other side, in Å.
        solid_angles: (f,) solid angles of the faces as seen from the atom inside, in sr.
        volumes: (f,) volumes of the pyramids from the atom inside to the faces, in Å³.
    """

    atoms: int
    centers: IntArray
    others: IntArray
    vectors: FloatArray
    solid_angles: FloatArray
    volumes: FloatArray

    @cached_property
    def distances(self) -> FloatArray:
        """(f,) distances in Å between the atoms on both sides."""
        return np.asarray(np.linalg.norm(self.vectors, axis=1))

    @cached_property
    def areas(self) -> FloatArray:
        """(f,) areas in Å²: three times the pyramid's volume over its height."""
        return 6 * self.volumes / self.distances

    @cached_property
    def cell_volumes(self) -> FloatArray:
        """(n,) volumes of the Voronoi cells in Å³."""
        return self.sums(self.volumes)

    @cached_property
    def neighbors(self) -> Faces:
        """The faces of neighbours only: those above `FACE_TOLERANCE`.

        Where more than four atoms are equally far from a vertex, as in every crystal of high symmetry, round-off
        creates faces of nearly zero area, whose number depends on the orientation. In rock salt, an ion has six
        neighbours and up to twelve such faces, which pymatgen's `VoronoiNN` counts by default. This tolerance
        corresponds to ``VoronoiNN(tol=1e-5)``, a fraction of the largest solid angle of the atom.
        """
        largest = np.zeros(self.atoms)
        np.maximum.at(largest, self.centers, self.solid_angles)
        kept = self.solid_angles > FACE_TOLERANCE * largest[self.centers]
        return Faces(
            self.atoms,
            self.centers[kept],
            self.others[kept],
            self.vectors[kept],
            self.solid_angles[kept],
            self.volumes[kept],
        )

    @cached_property
    def positions(self) -> tuple[IntArray, IntArray]:
        """(f,) position of each face among the faces of its atom, and (n,) number of faces per atom."""
        counts = np.bincount(self.centers, minlength=self.atoms)
        return np.arange(len(self.centers)) - np.repeat(np.cumsum(counts) - counts, counts), counts

    def cosines(self) -> FloatArray:
        """(n, k, k) cosines of the angles between the face directions of an atom; NaN if it has fewer than k faces."""
        positions, counts = self.positions
        units = np.full((self.atoms, counts.max(), 3), np.nan)
        units[self.centers, positions] = self.vectors / self.distances[:, None]
        return np.asarray(np.einsum("nix,njx->nij", units, units))

    def sums(self, values: FloatArray) -> FloatArray:
        """(n,) sums of (f,) values over the faces of each atom."""
        return np.asarray(np.bincount(self.centers, values, minlength=self.atoms), dtype=np.float64)

    def means(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """(n,) weighted means of (f,) values over the faces of each atom."""
        return self.sums(values * weights) / self.sums(weights)


def tessellate(lattice: FloatArray, frac_coords: FloatArray) -> Faces:
    """The Voronoi cells of the atoms of a crystal.

    The tessellation covers the atoms of the cell and nearby images. Missing atoms can only make cells larger, so all
    cells are correct if and only if their volumes add up to that of the crystal. If they do not, more images are added:
    first those within a sphere around each atom, sufficient for nearly all dense crystals; then the 26 and 124 nearest
    copies of the reduced cell, for layers and molecules in vacuum; then a sphere that is always sufficient, unless it
    contains more than `MOST_POINTS` atoms, as for a cell that is thousands of times longer than wide.

    Args:
        lattice: (3, 3) rows are the lattice vectors in Å.
        frac_coords: (n, 3) fractional coordinates of the atoms.

    Raises:
        DataError: the volumes do not agree within `VOLUME_TOLERANCE`, two atoms coincide, or the cell is too elongated.
    """
    volume = float(abs(np.linalg.det(lattice)))
    cell = _reduced(lattice)
    coords = frac_coords @ lattice @ np.linalg.inv(cell)
    reason = ""
    for origins, points in _neighborhoods(cell, (coords - np.floor(coords)) @ cell):
        faces = _faces(len(coords), origins, points)
        if faces is None:
            reason = "a cell is not closed"
            continue
        ratio = faces.cell_volumes.sum() / volume
        if abs(ratio - 1) <= VOLUME_TOLERANCE:
            if (faces.cell_volumes <= 0).any():
                raise DataError("the Voronoi cell of an atom is empty: two atoms have the same position")
            return faces
        reason = f"the volumes add up to {ratio:.9g} times that of the crystal"
    raise DataError(f"the Voronoi tessellation failed: {reason}")


def _reduced(lattice: FloatArray) -> FloatArray:
    """A reduced basis of the lattice, or the lattice itself if spglib cannot reduce it."""
    try:
        found = spglib.delaunay_reduce(lattice)
    except Exception:  # the class of spglib's errors differs between its versions
        found = None
    return lattice if found is None else np.ascontiguousarray(found, dtype=np.float64)


def _neighborhoods(lattice: FloatArray, carts: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Growing sets of atoms and images: atom indices and Cartesian coordinates, those of the cell first.

    Raises:
        DataError: the last set would have more than `MOST_POINTS`.
    """
    spacing = float(np.cbrt(abs(np.linalg.det(lattice)) / len(carts)))
    yield _sphere(lattice, carts, _FIRST_RADIUS * spacing)
    yield _box(lattice, carts, 1)
    yield _box(lattice, carts, 2)
    # No point is farther from a lattice point than half the longest diagonal, so no vertex is from its atom.
    diagonals = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ lattice
    radius = 1.01 * float(np.linalg.norm(diagonals, axis=1).max())
    if 4 / 3 * np.pi * (radius / spacing) ** 3 > MOST_POINTS:
        sides = " × ".join(f"{side:.4g}" for side in np.linalg.norm(lattice, axis=1))
        raise DataError(
            f"the Voronoi tessellation failed: its reduced cell of {sides} Å is too elongated; is a length wrong, or "
            "is there more vacuum than needed?"
        )
    yield _sphere(lattice, carts, radius)


def _sphere(lattice: FloatArray, carts: FloatArray, radius: float) -> tuple[IntArray, FloatArray]:
    """The atoms of the cell and all images within a radius of any of them."""
    atoms = len(carts)
    _, origins, images, _ = pairs_within(lattice, carts, radius, with_self=True)
    shifts = np.rint(images).astype(np.int64)
    span = 2 * int(np.abs(shifts).max(initial=0)) + 1
    keys = ((shifts[:, 0] * span + shifts[:, 1]) * span + shifts[:, 2]) * atoms + origins
    _, first = np.unique(keys, return_index=True)
    first = first[(shifts[first] != 0).any(axis=1)]
    return _with_images(lattice, carts, origins[first], shifts[first])


def _box(lattice: FloatArray, carts: FloatArray, copies: int) -> tuple[IntArray, FloatArray]:
    """The atoms of the cell and those of this number of copies on each side."""
    steps = np.arange(-copies, copies + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[(shifts != 0).any(axis=1)]
    atoms = len(carts)
    return _with_images(lattice, carts, np.tile(np.arange(atoms), len(shifts)), np.repeat(shifts, atoms, axis=0))


def _with_images(
    lattice: FloatArray, carts: FloatArray, origins: IntArray, shifts: IntArray
) -> tuple[IntArray, FloatArray]:
    images = carts[origins] + shifts @ lattice
    return np.concatenate([np.arange(len(carts)), origins]), np.concatenate([carts, images])


def _faces(atoms: int, origins: IntArray, points: FloatArray) -> Faces | None:
    """The cells of the first atoms among the points; None if a cell is not closed."""
    if len(points) < 5:
        return None
    try:
        diagram = Voronoi(points)
    except (QhullError, ValueError):
        return None
    ridges = np.flatnonzero((diagram.ridge_points < atoms).any(axis=1))
    corners = [diagram.ridge_vertices[k] for k in ridges]
    lengths = np.fromiter(map(len, corners), dtype=np.int64, count=len(corners))
    vertices = np.fromiter(itertools.chain.from_iterable(corners), dtype=np.int64, count=int(lengths.sum()))
    if not len(ridges) or vertices.min() < 0:
        return None
    sides = diagram.ridge_points[ridges]
    rows, side = np.nonzero(sides < atoms)  # a face between two atoms of the cell belongs to both cells
    centers, others = sides[rows, side].astype(np.int64), sides[rows, 1 - side]
    order = np.argsort(centers, kind="stable")
    rows, centers, others = rows[order], centers[order], others[order]
    starts = np.cumsum(lengths) - lengths
    solid_angles, volumes = _pyramids(diagram.vertices[vertices], starts[rows], lengths[rows], points[centers])
    return Faces(atoms, centers, origins[others], points[others] - points[centers], solid_angles, volumes)


def _pyramids(
    corners: FloatArray, starts: IntArray, lengths: IntArray, apices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solid angles and volumes of pyramids.

    Each base is divided into triangles from its first corner. Solid angles follow A. Van Oosterom and J. Strackee, IEEE
    Trans. Biomed. Eng. 30, 125 (1983).

    Args:
        corners: (c, 3) corners of all bases, base by base.
        starts: (f,) first corner of each base.
        lengths: (f,) number of corners of each base.
        apices: (f, 3).
    """
    triangles = np.maximum(lengths - 2, 0)
    face = np.repeat(np.arange(len(starts)), triangles)
    step = np.arange(len(face)) - np.repeat(np.cumsum(triangles) - triangles, triangles) + 1
    first = starts[face]
    a, b, c = (corners[k] - apices[face] for k in (first, first + step, first + step + 1))
    la, lb, lc = (np.sqrt(np.einsum("ti,ti->t", v, v)) for v in (a, b, c))
    product = np.abs(np.einsum("ti,ti->t", a, np.cross(b, c)))
    ab, ac, bc = (np.einsum("ti,ti->t", u, v) for u, v in ((a, b), (a, c), (b, c)))
    angles = 2 * np.arctan2(product, la * lb * lc + lc * ab + lb * ac + la * bc)
    n = len(starts)
    solid_angles, volumes = (np.bincount(face, v, minlength=n).astype(np.float64) for v in (angles, product / 6))
    return solid_angles, volumes
