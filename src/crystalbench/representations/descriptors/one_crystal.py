"""One crystal, with the expensive intermediate results that descriptors share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from crystalbench.errors import DataError
from crystalbench.representations.descriptors.space_group import Symmetry, find_symmetry
from crystalbench.representations.descriptors.voronoi import Faces, tessellate
from crystalbench.representations.neighbors import Pairs, pairs_within

if TYPE_CHECKING:
    from crystalbench.data.crystals import Crystals

FloatArray = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class OneCrystal:
    """A crystal whose Voronoi faces, symmetry and pairs are computed once, when they are first needed.

    Attributes:
        lattice: (3, 3) rows are the lattice vectors in Å.
        frac_coords: (atoms, 3) fractional coordinates in [0, 1).
        given_coords: (atoms, 3) fractional coordinates of the input.
        numbers: (atoms,) atomic numbers.
        symprec: tolerance in Å of the space group.
    """

    lattice: FloatArray
    frac_coords: FloatArray
    given_coords: FloatArray
    numbers: npt.NDArray[np.uint8]
    symprec: float
    _known: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of atoms in the cell."""
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def cart_coords(self) -> FloatArray:
        """(atoms, 3) Cartesian coordinates in Å, inside the cell."""
        return np.asarray(self.frac_coords @ self.lattice)

    def faces(self) -> Faces:
        """The faces of the Voronoi cells of all atoms.

        Raises:
            DataError: the tessellation fails.
        """
        return self._once("faces", lambda: tessellate(self.lattice, self.frac_coords))

    def symmetry(self, tolerance: float) -> Symmetry:
        """The symmetry for a tolerance in Å.

        Raises:
            DataError: it cannot be determined.
        """
        cell = (self.lattice, self.given_coords, self.numbers)
        return self._once(f"symmetry {tolerance}", lambda: find_symmetry(*cell, tolerance))

    def pairs(self, cutoff: float) -> Pairs:
        """All pairs of atoms within a distance in Å.

        Raises:
            DataError: the search fails.
        """
        return self._once(f"pairs {cutoff}", lambda: pairs_within(self.lattice, self.cart_coords, cutoff))

    def _once(self, name: str, compute: Callable[[], T]) -> T:
        if name not in self._known:
            try:
                self._known[name] = compute()
            except DataError as error:  # raised again for the next descriptor that needs it
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, DataError):
            raise found
        return found  # type: ignore[no-any-return]


def each_crystal(crystals: Crystals, symprec: float) -> list[OneCrystal]:
    """The crystals as a list; ``symprec`` is the tolerance of the space group in Å."""
    wrapped = crystals.wrapped().frac_coords
    rows = [slice(a, b) for a, b in zip(crystals.offsets[:-1], crystals.offsets[1:], strict=True)]
    return [
        OneCrystal(np.array(lattice), wrapped[r], crystals.frac_coords[r], crystals.numbers[r], symprec)
        for lattice, r in zip(crystals.lattices, rows, strict=True)
    ]


class Part(Protocol):
    """Descriptors that are computed together and fail together."""

    @property
    def name(self) -> str:
        """Name in reports of failures."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the descriptors."""

    def __call__(self, crystal: OneCrystal) -> npt.ArrayLike:
        """The descriptors of one crystal, in the order of the labels.

        Raises:
            DataError: they cannot be computed; says why.
        """


@dataclass(frozen=True)
class FunctionPart:
    """A part that is computed by a function."""

    name: str
    labels: tuple[str, ...]
    compute: Callable[[OneCrystal], npt.ArrayLike]

    def __call__(self, crystal: OneCrystal) -> npt.ArrayLike:
        """The descriptors of one crystal."""
        return self.compute(crystal)
