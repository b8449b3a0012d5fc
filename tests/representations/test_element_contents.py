from __future__ import annotations

import numpy as np
import pytest
from helpers import random_crystals
from matminer.utils.data import MatscholarElementData
from pymatgen.core import Element

from crystalbench.data.compositions import Compositions
from crystalbench.data.elements import MAX_Z
from crystalbench.representations import ElementContents
from crystalbench.representations.element_features import element_features
from crystalbench.representations.element_vectors import element_vectors, matscholar_vectors


def test_fractions_are_in_the_order_of_atomic_numbers() -> None:
    contents = ElementContents()(Compositions.from_formulas(["Fe2O3", "Og"])).values["contents"]
    assert contents.shape == (2, 118)
    assert contents[0, [7, 25]] == pytest.approx([0.6, 0.4])
    assert contents.sum(1) == pytest.approx(1)
    assert contents[1, 117] == 1


def test_the_mean_vector_is_matminers_scaled() -> None:
    source = MatscholarElementData()
    expected = [
        0.6 * source.get_elemental_property(Element("O"), name)
        + 0.4 * source.get_elemental_property(Element("Fe"), name)
        for name in source.prop_names
    ]
    found = ElementContents(vectors=True)(Compositions.from_formulas(["Fe2O3"])).values["contents"][0, 118:]
    assert found == pytest.approx(np.sqrt(200) * np.array(expected), abs=1e-6)


def test_crystals_have_the_contents_of_their_compositions() -> None:
    crystals = random_crystals(3, 8)
    one, other = (ElementContents(vectors=True)(i).values["contents"] for i in (crystals, crystals.compositions()))
    assert np.array_equal(one, other)
    assert ElementContents()(crystals[:0]).values["contents"].shape == (0, 118)


def test_every_element_has_a_vector_and_row_0_is_empty() -> None:
    table = matscholar_vectors()
    assert table.shape == (MAX_Z + 1, 200) and np.isfinite(table).all() and not table[0].any()
    assert np.sqrt((table[1:104] ** 2).mean(1)) == pytest.approx(np.ones(103), rel=1e-3)
    assert np.array_equal(table[104], table[118])
    known = table[1:104]
    assert table[110] == pytest.approx(known.mean(0), abs=1e-5)
    assert element_vectors("matscholar") is table
    assert element_vectors("properties") is element_features()
