"""The transformations of the audit of invariances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crystalbench.data import equivalent
from crystalbench.data.crystals import Crystals
from crystalbench.data.views import primitive, supercell
from crystalbench.data.views.geometry import displaced

UNCHANGED, NEARLY = "unchanged", "nearly unchanged"


@dataclass(frozen=True)
class Transform:
    """A change to the description of crystals, or a small one to the crystals.

    Attributes:
        name: name in tables.
        apply: from crystals to the same crystals, changed.
        expected: what an ideal model of a property of the material does.
    """

    name: str
    apply: Callable[[Crystals], Crystals]
    expected: str = UNCHANGED


def _other_order(crystals: Crystals) -> Crystals:
    return equivalent.reordered(crystals, equivalent.atom_order(crystals))


def _noise(amplitude: float) -> Callable[[Crystals], Crystals]:
    return lambda crystals: displaced(crystals, amplitude)


NOISE = (1e-4, 1e-3, 1e-2, 0.1)
"""Standard deviations in Å, along each axis, of random displacements."""

TRANSFORMS = (
    Transform("atom_order", _other_order),
    Transform("origin", equivalent.translated),
    Transform("rotation", equivalent.rotated),
    Transform("reflection", equivalent.inverted),
    Transform("supercell", supercell),
    Transform("niggli_cell", equivalent.niggli_cells),
    Transform("conventional_cell", equivalent.conventional_cells),
    Transform("primitive_cell", primitive),
    *(Transform(f"noise_{amplitude:g}", _noise(amplitude), NEARLY) for amplitude in NOISE),
)
