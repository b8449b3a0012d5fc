"""Space groups as a representation."""

from __future__ import annotations

import numpy as np
import pytest

from crystalbench.data.compositions import Compositions
from crystalbench.errors import DataError
from crystalbench.representations import SpaceGroupNumbers
from crystalbench.tasks.symmetry import space_groups
from crystalbench.testing.crystals import known_structures

KNOWN = {"copper": 225, "halite": 225, "perovskite": 221, "zinc": 194, "wurtzite": 186, "rutile": 136, "boride": 62}


def test_known_prototypes_have_their_space_groups() -> None:
    crystals = known_structures()
    names = [name.partition("-")[0] for name in crystals.ids.tolist()]
    expected = [KNOWN[name] for name in names if name in KNOWN]
    found = SpaceGroupNumbers()(crystals).values["numbers"]
    assert expected
    assert [number for name, number in zip(names, found.tolist(), strict=True) if name in KNOWN] == expected
    np.testing.assert_array_equal(space_groups(crystals), found)


def test_compositions_have_none() -> None:
    with pytest.raises(DataError, match="need crystal structures"):
        SpaceGroupNumbers()(Compositions.from_formulas(["NaCl"]))
