"""Voronoi cells of all atoms of a crystal by one tessellation that checks itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres
from scipy.spatial import QhullError, Voronoi

from crystalbench.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FACE_TOLERANCE = 1e-5
"""A face counts as a neighbour if its solid angle exceeds this share of the largest one of its atom."""
VOLUME_TOLERANCE = 1e-6
"""Largest relative difference between the sum of the Voronoi cells and the volume of the crystal."""
_FIRST_RADIUS = 2.3  # times the cube root of the volume per atom; enough for most crystals
_GROWTH = 1.5
_PERIODIC = np.array([1, 1, 1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of the Voronoi cells of the n atoms of a crystal, grouped by atom.

    Attributes:
        atoms: number of atoms, n.
        centers: (f,) the atom inside, ascending.
        others: (f,) index of the atom on the other side (of the atom of which it is an image).
        vectors: (f, 3) from the atom inside to the atom on the other side, in Å.
        solid_angles: (f,) under which the atom inside sees the face, in sr.
        volumes: (f,) of the pyramid from the atom inside to the face, in Å³.
    """

    atoms: int
    centers: IntArray
    others: IntArray
    vectors: FloatArray
    solid_angles: FloatArray
    volumes: FloatArray

    @cached_property
    def distances(self) -> FloatArray:
        """(f,) distances between the atoms on both sides in Å."""
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

        Where four or more atoms are equally far from a vertex, as in every crystal of high symmetry, round-off leaves
        faces of an area of nearly zero, and how many of them depends on the orientation: in rock salt an ion has six
        neighbours, and up to twelve more with such faces, which pymatgen's `VoronoiNN` counts unless told otherwise.
        This is its ``VoronoiNN(tol=1e-5)``: a fraction of the largest solid angle of the atom.
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

    def sums(self, values: FloatArray) -> FloatArray:
        """(n,) sums over the faces of each atom of (f,) values."""
        return np.bincount(self.centers, values, minlength=self.atoms)

    def means(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """(n,) weighted means over the faces of each atom of (f,) values."""
        return self.sums(values * weights) / self.sums(weights)


def tessellate(lattice: FloatArray, carts: FloatArray) -> Faces:
    """The Voronoi cells of all atoms of a crystal, each once for all periodic images.

    The tessellation is of the atoms of the cell and all images within a sphere around each of them. Leaving out atoms
    can only make cells larger, so all cells are right if and only if their volumes sum to that of the crystal. Where
    they do not, the sphere is enlarged: to twice the distance of the farthest vertex, which is always enough, or, where
    a cell is not closed, by half.

    Args:
        lattice: (3, 3) rows are the lattice vectors in Å.
        carts: (n, 3) Cartesian coordinates of the atoms in the cell, in Å.

    Raises:
        DataError: the volumes do not agree to `VOLUME_TOLERANCE`, or atoms coincide.
    """
    volume = float(abs(np.linalg.det(lattice)))
    corners = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ lattice
    largest_needed = float(np.linalg.norm(corners, axis=1).max())  # no point is farther than half of it from an image
    radius = min(_FIRST_RADIUS * float(np.cbrt(volume / len(carts))), largest_needed)
    reason = ""
    while True:
        faces, reach = _within(lattice, carts, radius)
        if faces is not None:
            difference = abs(faces.cell_volumes.sum() / volume - 1)
            if difference <= VOLUME_TOLERANCE:
                if (faces.cell_volumes <= 0).any():
                    raise DataError("the Voronoi cell of an atom is empty: two atoms are at the same place")
                return faces
            reason = f"their volumes differ from that of the crystal by a factor of {1 + difference:.9g}"
        else:
            reason = "they are not closed"
        if radius >= largest_needed * 1.01:
            raise DataError(f"the Voronoi cells cannot be found: {reason}")
        radius = min(max(1.01 * radius, 2 * reach * (1 + 1e-9)) if reach else _GROWTH * radius, largest_needed * 1.01)


def _within(lattice: FloatArray, carts: FloatArray, radius: float) -> tuple[Faces | None, float]:
    """The cells among the atoms within a radius of any, and their farthest vertex; None where they are not closed."""
    atoms = len(carts)
    origins, shifts = _points(lattice, carts, radius)
    points = carts[origins] + shifts @ lattice
    if len(points) < 5:
        return None, 0.0
    try:
        diagram = Voronoi(points)
    except (QhullError, ValueError):
        return None, 0.0
    ridges = np.flatnonzero((diagram.ridge_points < atoms).any(axis=1))
    corners = [diagram.ridge_vertices[k] for k in ridges]
    lengths = np.fromiter(map(len, corners), dtype=np.int64, count=len(corners))
    vertices = np.fromiter(itertools.chain.from_iterable(corners), dtype=np.int64, count=lengths.sum())
    if (vertices < 0).any() or not len(ridges):
        return None, 0.0
    sides = diagram.ridge_points[ridges]
    rows, side = np.nonzero(sides < atoms)  # a face between two atoms of the cell belongs to both
    centers, others = sides[rows, side].astype(np.int64), sides[rows, 1 - side]
    order = np.argsort(centers, kind="stable")
    rows, centers, others = rows[order], centers[order], others[order]
    starts = np.cumsum(lengths) - lengths
    solid_angles, volumes, reach = _pyramids(diagram.vertices[vertices], starts[rows], lengths[rows], points[centers])
    vectors = points[others] - points[centers]
    return Faces(atoms, centers, origins[others], vectors, solid_angles, volumes), reach


def _points(lattice: FloatArray, carts: FloatArray, radius: float) -> tuple[IntArray, FloatArray]:
    """Atoms and images within a radius of any atom of the cell, those of the cell first: atom indices and images."""
    atoms = len(carts)
    carts = np.ascontiguousarray(carts)
    _, origins, images, _ = find_points_in_spheres(carts, carts, radius, _PERIODIC, np.ascontiguousarray(lattice), 1e-8)
    images = np.rint(images).astype(np.int64)
    span = 2 * int(np.abs(images).max(initial=0)) + 1
    keys = ((images[:, 0] * span + images[:, 1]) * span + images[:, 2]) * atoms + origins
    _, first = np.unique(keys, return_index=True)
    first = first[(images[first] != 0).any(axis=1)]
    cell = np.arange(atoms)
    return np.concatenate([cell, origins[first]]), np.concatenate([np.zeros((atoms, 3)), images[first]])


def _pyramids(
    corners: FloatArray, starts: IntArray, lengths: IntArray, apices: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Solid angles and volumes of pyramids, and the longest edge from an apex.

    Each base is cut into triangles from its first corner; solid angles by A. Van Oosterom and J. Strackee,
    IEEE Trans. Biomed. Eng. 30, 125 (1983).

    Args:
        corners: (c, 3) corners of all bases in turn.
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
    reach = max(float(length.max(initial=0.0)) for length in (la, lb, lc))
    n = len(starts)
    return np.bincount(face, angles, minlength=n), np.bincount(face, product / 6, minlength=n), reach
