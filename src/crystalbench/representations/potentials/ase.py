"""Any calculator of ASE as a potential."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from crystalbench.errors import DataError
from crystalbench.representations.potentials.potential import GPA, Evaluation, Potential

if TYPE_CHECKING:
    from crystalbench.data.crystals import Crystals


class ASEPotential(Potential):
    """A potential that is computed by a calculator of ASE, crystal by crystal.

    A subclass defines `calculator`, names what determines the numbers (``packages``, ``version``), the ``elements``
    that are known, and what the potential was fitted to (``pretrained_on``). It has no learned features.

    Example:
        >>> from ase.calculators.emt import EMT
        >>> class EffectiveMedium(ASEPotential):
        ...     packages = ("ase",)
        ...     elements = frozenset({13, 28, 29, 46, 47, 78, 79})
        ...     def calculator(self):
        ...         return EMT()
        >>> from crystalbench.testing.crystals import known_structures
        >>> EffectiveMedium()(known_structures()[:1]).energies.round(3).tolist()
        [-0.021]
    """

    @abstractmethod
    def calculator(self) -> Any:
        """Create the calculator: an `ase.calculators.calculator.Calculator` with energies, forces and stresses."""

    def _evaluate(self, crystals: Crystals) -> Evaluation:
        from ase import Atoms

        energies, forces, stresses = [], [], []
        for row, lattice in enumerate(crystals.lattices):
            part = slice(crystals.offsets[row], crystals.offsets[row + 1])
            atoms: Any = Atoms(
                crystals.numbers[part], cell=lattice, scaled_positions=crystals.frac_coords[part], pbc=True
            )
            atoms.calc = self._calculator
            try:
                energies.append(float(atoms.get_potential_energy()))
                forces.append(np.asarray(atoms.get_forces(), dtype=np.float64))
                stresses.append(GPA * np.asarray(atoms.get_stress(voigt=False), dtype=np.float64))
            except Exception as error:  # calculators raise errors of many classes
                raise DataError(f"{crystals.ids[row]}: {type(self).__name__} fails: {error}") from error
        return Evaluation(
            np.array(energies), np.concatenate(forces), np.array(stresses), np.zeros((len(crystals.numbers), 0))
        )

    @functools.cached_property
    def _calculator(self) -> Any:
        return self.calculator()
