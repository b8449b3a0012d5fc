"""The space group of each crystal, as a representation, so that it is computed once and cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import DataError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.descriptors.space_group import find_symmetry
from crystalbench.representations.representation import Representation

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class SpaceGroupNumbers(Representation):
    """Numbers of the space groups as spglib finds them, 0 where it finds none. A crystal takes milliseconds.

    Arrays: ``numbers`` (n,) int64.

    Attributes:
        symprec: largest distance in Å between an atom and its symmetric position.
    """

    packages: ClassVar[tuple[str, ...]] = ("spglib",)
    symprec: float = 0.1

    def __call__(self, inputs: Inputs) -> Arrays:
        """The numbers of n crystals.

        Raises:
            DataError: the inputs are compositions.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("space groups need crystal structures, and these are compositions")
        numbers = np.fromiter(self._numbers(inputs), np.int64, len(inputs))
        return Arrays({"numbers": numbers}, {"numbers": Layout(CRYSTAL)}, {}, len(inputs))

    def _numbers(self, crystals: Crystals) -> Iterator[int]:
        for row, lattice in enumerate(crystals.lattices):
            atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
            try:
                yield find_symmetry(lattice, crystals.frac_coords[atoms], crystals.numbers[atoms], self.symprec).number
            except DataError:
                yield 0
