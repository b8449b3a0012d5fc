from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from crystalbench.data.compositions import Compositions
from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import DataError

amounts = st.dictionaries(st.sampled_from(SYMBOLS[1:]), st.integers(1, 20), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(amounts, min_size=1, max_size=5))
def test_formulas_are_parsed_as_pymatgen_does(entries: list[dict[str, int]]) -> None:
    formulas = ["".join(f"{symbol}{amount}" for symbol, amount in entry.items()) for entry in entries]
    compositions = Compositions.from_formulas(formulas)
    parsed = [Composition(formula) for formula in formulas]
    for i, composition in enumerate(parsed):
        assert compositions.amounts_of(i) == composition.get_el_amt_dict()
    assert compositions.reduced_formulas() == [composition.reduced_formula for composition in parsed]
    assert compositions.chemical_systems() == [composition.chemical_system for composition in parsed]
    np.testing.assert_allclose(np.bincount(compositions.owners, compositions.fractions), 1)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Ag(AuS)2", {"S": 2, "Ag": 1, "Au": 2}),
        ("Fe0.62Ni0.38", {"Fe": 0.62, "Ni": 0.38}),
        ("CuSO4(H2O)5", {"H": 10, "O": 9, "S": 1, "Cu": 1}),
        ("D2O", {"H": 2, "O": 1}),
        ("HDO", {"H": 2, "O": 1}),
        ("Og", {"Og": 1}),
        ("NaN", {"N": 1, "Na": 1}),
        ("H1e-3O", {"H": 0.001, "O": 1}),
    ],
)
def test_formulas(formula: str, expected: dict[str, float]) -> None:
    compositions = Compositions.from_formulas([formula])
    assert compositions.amounts_of(0) == expected
    assert (np.diff(compositions.numbers.astype(int)) > 0).all()


@pytest.mark.parametrize("formula", ["", "  ", "Na(Cl", "Qq2", "X", "H0", None, 5, "1.5"])
def test_text_that_is_not_a_formula_is_refused_with_its_id(formula: object) -> None:
    with pytest.raises(DataError, match=r"second: .*is not a chemical formula"):
        Compositions.from_formulas(["NaCl", formula], ["first", "second"])  # type: ignore[list-item]


def test_all_bad_formulas_are_listed() -> None:
    with pytest.raises(DataError, match=r"^b: 'Qq' is not a chemical formula .*\(also d\)$"):
        Compositions.from_formulas(["NaCl", "Qq", "KCl", "Na("], list("abcd"))


def test_slicing() -> None:
    formulas = ["NaCl", "Fe2O3", "Au", "Ag(AuS)2"]
    compositions = Compositions.from_formulas(formulas, list("abcd"))
    for key in ([3, 0, 3], slice(None, None, -2), np.array([True, False, True, False]), [-1], slice(0, 0)):
        chosen = compositions[key]
        assert chosen.ids.tolist() == np.array(list("abcd"))[key].tolist()
        assert chosen.digest == Compositions.from_formulas(np.array(formulas)[key].tolist()).digest
    assert len(compositions[[]]) == 0
    with pytest.raises(IndexError):
        compositions[4]


def test_the_digest_depends_on_the_content_only() -> None:
    compositions = Compositions.from_formulas(["NaCl", "KCl"], ["a", "b"])
    assert compositions.digest == Compositions.from_formulas(["ClNa", "K1Cl1"], ["c", "d"]).digest
    assert compositions.digest != Compositions.from_formulas(["NaCl", "K2Cl2"]).digest
    assert compositions.digest != Compositions.from_formulas(["KCl", "NaCl"]).digest


def test_arrays_round_trip() -> None:
    compositions = Compositions.from_formulas(["NaCl", "Fe2O3"], ["a", "b"])
    again = Compositions.from_arrays(compositions.to_arrays())
    assert again.digest == compositions.digest
    assert again.ids.tolist() == ["a", "b"]


def test_the_number_of_ids_must_match() -> None:
    assert Compositions.from_formulas(["NaCl", "KCl"]).ids.tolist() == ["0", "1"]
    with pytest.raises(DataError, match="1 ids for 2 rows"):
        Compositions.from_formulas(["NaCl", "KCl"], ["a"])
