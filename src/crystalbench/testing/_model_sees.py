"""Checks that a model does not see what it declares not to see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import changed
from crystalbench.data.views import chemistry_shuffled
from crystalbench.models.model import Sees
from crystalbench.testing._model_case import ModelCase, prediction_crystals
from crystalbench.testing.crystals import CRYSTAL_SYSTEMS, cell_of


def elements(case: ModelCase) -> None:
    """Elements have no influence, as declared.

    Every element is exchanged for another one, the same everywhere.
    """
    case.require_equal(case.values(chemistry_shuffled(prediction_crystals())))


def structure(case: ModelCase) -> None:
    """Structure has no influence, as declared.

    All atoms are moved to random places in cells of another shape and volume.
    """
    case.require_equal(case.values(_other_structures(prediction_crystals())))


def _other_structures(crystals: Crystals, seed: int = 0) -> Crystals:
    """Crystals of the same compositions, in other cells and at other places."""
    rng = np.random.default_rng(seed)
    systems = rng.choice(CRYSTAL_SYSTEMS, len(crystals))
    return changed(
        crystals,
        lattices=np.array([cell_of(str(system), rng) * rng.uniform(1, 3) for system in systems]),
        frac_coords=rng.random(crystals.frac_coords.shape),
    )


DECLARED: dict[Sees | None, tuple[Callable[[ModelCase], None], ...]] = {
    Sees.NOTHING: (elements, structure),
    Sees.COMPOSITION: (structure,),
    Sees.STRUCTURE: (elements,),
}
"""The checks of each kind; none for others."""
