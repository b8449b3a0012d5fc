"""Checks of structures that come from elsewhere: periodicity, and sites with one element each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from crystalbench.data.elements import atomic_number


def require_periodic(periodic: Any) -> None:
    """Refuse structures that are not periodic in all three directions.

    Raises:
        ValueError: says what is wrong.
    """
    is_list = isinstance(periodic, (list, tuple, np.ndarray))
    if not is_list or len(periodic) != 3 or any(p not in (True, False) for p in periodic):
        raise ValueError(f"pbc = {periodic!r} must be a list of three booleans")
    if not all(periodic):
        raise ValueError(
            f"is periodic in {sum(map(bool, periodic))} of three directions (pbc = "
            f"{', '.join(str(bool(p)) for p in periodic)}); crystals are periodic in all three, so give a layer a cell "
            "with vacuum"
        )


def only_element(site: int, occupants: Sequence[tuple[Any, float]]) -> int:
    """Atomic number of the only occupant of a site.

    Args:
        site: number of the site, for messages.
        occupants: element symbols with their occupancies.

    Raises:
        ValueError: the site is partially or not occupied, is shared, or its occupant is no element; says which.
    """
    if len(occupants) != 1 or not abs(occupants[0][1] - 1) <= 1e-8:  # NaN included
        mixture = " ".join(f"{symbol}:{occupancy:g}" for symbol, occupancy in occupants)
        raise ValueError(
            f"site {site} is disordered ({mixture}), but CrystalBench needs ordered crystals; order the structure "
            "(e.g. with pymatgen's OrderDisorderedStructureTransformation) or remove it"
        )
    symbol = occupants[0][0]
    try:
        return atomic_number(symbol)
    except (TypeError, ValueError) as error:
        raise ValueError(f"site {site} contains {symbol!r}, which is not an element") from error
