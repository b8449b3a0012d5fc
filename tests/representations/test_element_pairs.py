from __future__ import annotations

import numpy as np
import pytest
from helpers import random_crystals

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.representations import ElementPairs


def test_elements_and_pairs_of_crystals() -> None:
    crystals = Crystals.from_flat(
        np.tile(np.eye(3) * 5, (3, 1, 1)),
        np.random.default_rng(0).random((10, 3)),
        [8, 22, 8, 8, 38, 3, 3, 1, 9, 1],
        [5, 2, 3],
    )
    found = ElementPairs()(crystals)
    assert found.values["elements"].tolist() == [8, 22, 38, 3, 1, 9]
    assert found.values["fractions"] == pytest.approx([0.6, 0.2, 0.2, 1, 2 / 3, 1 / 3])
    assert found.offsets["element"].tolist() == [0, 3, 4, 6]
    everyone = [(i, j) for k in (3, 1, 2) for i in range(k) for j in range(k)]
    assert list(zip(found.values["own"].tolist(), found.values["other"].tolist(), strict=True)) == everyone
    assert found.offsets["pair"].tolist() == [0, 9, 10, 14]


def test_a_crystal_and_its_composition_are_the_same() -> None:
    crystals = random_crystals(3, 12)
    one, other = ElementPairs()(crystals), ElementPairs()(crystals.compositions())
    assert all(np.array_equal(one.values[name], other.values[name]) for name in one.values)


def test_amounts_need_not_be_whole() -> None:
    found = ElementPairs()(Compositions.from_formulas(["Fe0.62Ni0.38", "H2O"]))
    assert found.values["fractions"] == pytest.approx([0.62, 0.38, 2 / 3, 1 / 3])
