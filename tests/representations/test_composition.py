from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import random_crystals, repeatable
from hypothesis import given
from hypothesis import strategies as st
from matminer.featurizers.base import MultipleFeaturizer
from matminer.featurizers.composition import ElementProperty, Stoichiometry, ValenceOrbital
from pymatgen.core import Composition

from crystalbench.data.compositions import Compositions
from crystalbench.data.elements import MAX_Z, SYMBOLS
from crystalbench.representations import MagpieFeatures
from crystalbench.representations.element_features import element_features

FORMULAS = [
    "H2",
    "NaCl",
    "Fe2O3",
    "SrTiO3",
    "Ag(AuS)2",
    "Fe0.62Ni0.38",
    "Fe0.620C0.000953Mn0.000521Si0.00102Cr0.000110Ni0.192Mo0.0176V0.000112Nb0.0000616Co0.146Al0.00318Ti0.0185",
    "YBa2Cu3O6.93",
    "He",
    "Xe2F4",
    "U3O8",
    "PuO2",
    "AmO2",
    "Cf2O3",
    "LrCl3",
    "Og",
    "Ts2O7",
    "La0.7Sr0.3MnO3",
    "C60H36",
    "Cs2AgBiBr6",
    "Al0.5Al0.5O1.5",
    "GdFeO3",
]


@pytest.fixture(scope="module")
def matminer() -> MultipleFeaturizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MultipleFeaturizer(
            [ElementProperty.from_preset("magpie", impute_nan=True), Stoichiometry(), ValenceOrbital(impute_nan=True)]
        )


@pytest.mark.parametrize("formula", FORMULAS)
def test_features_are_those_of_matminer(formula: str, matminer: MultipleFeaturizer) -> None:
    mine = MagpieFeatures()(Compositions.from_formulas([formula])).values["features"][0]
    expected = np.array(matminer.featurize(Composition(formula)), dtype=float)
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


def test_labels_are_those_of_matminer(matminer: MultipleFeaturizer) -> None:
    assert MagpieFeatures().labels == matminer.feature_labels()


def test_a_batch_of_formulas_equals_single_formulas() -> None:
    together = MagpieFeatures()(Compositions.from_formulas(FORMULAS)).values["features"]
    single = [MagpieFeatures()(Compositions.from_formulas([f])).values["features"][0] for f in FORMULAS]
    assert together.shape == (len(FORMULAS), 146)
    np.testing.assert_allclose(together, single, rtol=1e-12, atol=1e-13)


def test_crystals_have_the_features_of_their_compositions() -> None:
    crystals = random_crystals(2, largest_z=118)
    features = MagpieFeatures()(crystals).values["features"]
    assert np.array_equal(features, MagpieFeatures()(crystals.compositions()).values["features"])


@repeatable(40)
@given(
    amounts=st.dictionaries(st.integers(1, MAX_Z), st.integers(1, 20), min_size=1, max_size=5),
    times=st.integers(2, 7),
)
def test_features_do_not_depend_on_the_size_of_the_formula(amounts: dict[int, int], times: int) -> None:
    formulas = ["".join(f"{SYMBOLS[z]}{n * factor}" for z, n in amounts.items()) for factor in (1, times)]
    one, other = MagpieFeatures()(Compositions.from_formulas(formulas)).values["features"]
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_element_features_are_nine_one_hot_blocks() -> None:
    features = element_features()
    assert features.shape[0] == MAX_Z + 1
    assert features.dtype == np.float32
    assert set(np.unique(features)) == {0.0, 1.0}
    assert not features[0].any()
    assert (features[1:].sum(1) == 9).all()
    assert features.any(0)[: 18 + 7].all()  # every group and every period occurs
    groups, periods = features[1:, :18].argmax(1) + 1, features[1:, 18:25].argmax(1) + 1
    assert (groups[[0, 5, 8, 25, 78]] == [1, 14, 17, 8, 11]).all()  # H, C, F, Fe, Au
    assert (periods[[0, 5, 8, 25, 78, 117]] == [1, 2, 2, 4, 6, 7]).all()


def test_neighbours_in_the_periodic_table_differ() -> None:
    common = element_features()[1:95]
    assert len(np.unique(common, axis=0)) >= 90  # few of the first 94 elements share all nine properties
