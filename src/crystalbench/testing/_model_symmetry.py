"""Checks of how predictions depend on the description of a crystal."""

from __future__ import annotations

from collections.abc import Callable

from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import (
    atom_order,
    inverted,
    moved_by_lattice_vectors,
    other_cells,
    reordered,
    rotated,
    supercells,
    translated,
)
from crystalbench.models.model import Invariance
from crystalbench.testing._model_case import ModelCase, prediction_crystals

TRANSFORMATIONS: dict[Invariance, Callable[[Crystals], Crystals]] = {
    Invariance.ROTATION: rotated,
    Invariance.REFLECTION: inverted,
    Invariance.SUPERCELL: lambda crystals: supercells(crystals, (2, 1, 1)),
    Invariance.CELL_CHOICE: other_cells,
}


def order_of_atoms(case: ModelCase) -> None:
    """Atom order has no influence."""
    crystals = prediction_crystals()
    case.require_equal(case.values(reordered(crystals, atom_order(crystals))))


def images_of_atoms(case: ModelCase) -> None:
    """Periodic images of atoms have no influence.

    Atoms may be given outside of the cell.
    """
    case.require_equal(case.values(moved_by_lattice_vectors(prediction_crystals())))


def origin(case: ModelCase) -> None:
    """Origin of the cell has no influence."""
    case.require_equal(case.values(translated(prediction_crystals())))


def rotation(case: ModelCase) -> None:
    """Rotation has no influence, as declared."""
    _require_invariance(case, Invariance.ROTATION)


def reflection(case: ModelCase) -> None:
    """Reflection has no influence, as declared."""
    _require_invariance(case, Invariance.REFLECTION)


def supercell(case: ModelCase) -> None:
    """Supercells have no influence, as declared."""
    _require_invariance(case, Invariance.SUPERCELL)


def cell_choice(case: ModelCase) -> None:
    """Cell choice has no influence, as declared."""
    _require_invariance(case, Invariance.CELL_CHOICE)


def _require_invariance(case: ModelCase, invariance: Invariance) -> None:
    case.require_equal(case.values(TRANSFORMATIONS[invariance](prediction_crystals())))


def drifts(case: ModelCase, invariances: frozenset[Invariance]) -> dict[str, float]:
    """Largest change of a prediction under each of these transformations, in standard deviations."""
    crystals = prediction_crystals()
    return {
        str(invariance): case.drift(case.values(TRANSFORMATIONS[invariance](crystals)))
        for invariance in Invariance
        if invariance in invariances
    }


CHECKS = (order_of_atoms, images_of_atoms, origin)
DECLARED: dict[Invariance, Callable[[ModelCase], None]] = {
    Invariance.ROTATION: rotation,
    Invariance.REFLECTION: reflection,
    Invariance.SUPERCELL: supercell,
    Invariance.CELL_CHOICE: cell_choice,
}
