"""Sites of atoms in known crystals."""

from __future__ import annotations

import numpy as np
import pytest

from crystalbench.data.compositions import Compositions
from crystalbench.errors import DataError
from crystalbench.representations import AtomSites
from crystalbench.testing.crystals import known_structures


def test_sites_of_known_crystals() -> None:
    crystals = known_structures()
    found = AtomSites()(crystals).values
    rows = {name: slice(crystals.offsets[i], crystals.offsets[i + 1]) for i, name in enumerate(crystals.ids.tolist())}
    np.testing.assert_allclose(found["site_order"][rows["halite"]], 48)
    np.testing.assert_allclose(found["coordination"][rows["halite"]], 6)
    np.testing.assert_allclose(found["coordination"][rows["copper"]], 12)
    np.testing.assert_allclose(found["site_order"][rows["copper"]], 48)
    titanium = crystals.numbers[rows["rutile"]] == 22
    np.testing.assert_allclose(found["site_order"][rows["rutile"]][titanium], 8)  # mmm
    np.testing.assert_allclose(found["site_order"][rows["rutile"]][~titanium], 4)  # m2m


def test_compositions_have_none() -> None:
    with pytest.raises(DataError, match="need crystal structures"):
        AtomSites()(Compositions.from_formulas(["NaCl"]))
