"""How predictions depend on the way in which a crystal is described."""

from __future__ import annotations

from collections.abc import Callable

from crystalbench.data.crystals import Crystals
from crystalbench.models.model import Invariance
from crystalbench.testing._model_case import ModelCase, asked_crystals
from crystalbench.testing.crystals import (
    atom_order,
    inverted,
    moved_by_lattice_vectors,
    other_cells,
    reordered,
    rotated,
    supercells,
    translated,
)

CHANGES: dict[Invariance, Callable[[Crystals], Crystals]] = {
    Invariance.ROTATION: rotated,
    Invariance.REFLECTION: inverted,
    Invariance.SUPERCELL: lambda crystals: supercells(crystals, (2, 1, 1)),
    Invariance.CELL_CHOICE: other_cells,
}


def order_of_atoms(case: ModelCase) -> None:
    """The order of the atoms changes nothing."""
    crystals = asked_crystals()
    case.agree(case.values(reordered(crystals, atom_order(crystals))))


def images_of_atoms(case: ModelCase) -> None:
    """Which periodic image of an atom is given changes nothing."""
    case.agree(case.values(moved_by_lattice_vectors(asked_crystals())))


def origin(case: ModelCase) -> None:
    """The origin of the cell changes nothing."""
    case.agree(case.values(translated(asked_crystals())))


def rotation(case: ModelCase) -> None:
    """Rotation changes nothing, as promised."""
    _promised(case, Invariance.ROTATION)


def reflection(case: ModelCase) -> None:
    """Reflection changes nothing, as promised."""
    _promised(case, Invariance.REFLECTION)


def supercell(case: ModelCase) -> None:
    """A supercell changes nothing, as promised."""
    _promised(case, Invariance.SUPERCELL)


def cell_choice(case: ModelCase) -> None:
    """The choice of the cell changes nothing, as promised."""
    _promised(case, Invariance.CELL_CHOICE)


def _promised(case: ModelCase, invariance: Invariance) -> None:
    case.agree(case.values(CHANGES[invariance](asked_crystals())))


def drifts(case: ModelCase, invariances: frozenset[Invariance]) -> dict[str, float]:
    """Largest change of a prediction under each change to the crystals, in standard deviations."""
    crystals = asked_crystals()
    return {
        str(invariance): case.drift(case.values(CHANGES[invariance](crystals)))
        for invariance in Invariance
        if invariance in invariances
    }


PROMISES = (order_of_atoms, images_of_atoms, origin)
PROMISED: dict[Invariance, Callable[[ModelCase], None]] = {
    Invariance.ROTATION: rotation,
    Invariance.REFLECTION: reflection,
    Invariance.SUPERCELL: supercell,
    Invariance.CELL_CHOICE: cell_choice,
}
