"""The public names of `crystalbench.data`, and the one-line ``repr`` of its classes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers import random_crystals, samples_of

import crystalbench.data
from crystalbench.data import Compositions, Crystals, Predictions, concatenate, get_view
from crystalbench.data.checks import first_ids, refuse
from crystalbench.errors import DataError


def test_every_public_name_can_be_imported() -> None:
    for name in crystalbench.data.__all__:
        assert getattr(crystalbench.data, name).__name__ == name
    assert set(crystalbench.data.__all__) <= set(dir(crystalbench.data))
    with pytest.raises(AttributeError, match="no attribute 'Crystal'"):
        _ = crystalbench.data.Crystal


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import crystalbench.data", ["torch", "pymatgen", "sklearn"]),
        (
            "from crystalbench.data import Crystals, Compositions, Samples, Predictions, View, get_view",
            ["torch", "sklearn", "matminer", "e3nn"],
        ),
    ],
)
def test_importing_needs_neither_torch_nor_scikit_learn(code: str, absent: list[str]) -> None:
    check = f"import sys\n{code}\nprint([name for name in {absent!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_reprs_are_one_short_line() -> None:
    crystals = random_crystals(0, 3)
    samples = samples_of(crystals)
    assert repr(crystals).startswith(f"<Crystals: 3 crystals, {len(crystals.numbers)} atoms, ")
    assert repr(crystals).endswith(f"ids '{crystals.ids[0]}' to '{crystals.ids[2]}'>")
    assert repr(crystals[:0]) == "<Crystals: 0 crystals, 0 atoms, 0 elements>"
    assert repr(Compositions.from_formulas(["NaCl", "KCl"])) == (
        "<Compositions: 2 compositions, 3 elements, ids '0' to '1'>"
    )
    assert "3 crystals with targets" in repr(samples)
    assert "3 crystals without targets" in repr(samples.to_predict())
    assert repr(Predictions(np.zeros(3))) == "<Predictions: 3 rows>"
    assert repr(Predictions(np.zeros((3, 2)))) == "<Predictions: 3 rows x 2 classes>"
    assert repr(Predictions(np.zeros(3), np.ones(3))) == "<Predictions: 3 rows, with std>"


def test_concatenation_is_the_inverse_of_slicing() -> None:
    crystals = random_crystals(1, 6)
    together = concatenate([crystals[:2], crystals[2:2], crystals[2:]])
    assert isinstance(together, Crystals)
    assert together.digest == crystals.digest
    assert together.ids.tolist() == crystals.ids.tolist()
    assert concatenate([crystals[:1].compositions(), crystals[1:].compositions()]).digest == (
        crystals.compositions().digest
    )


def test_views_are_found_by_name() -> None:
    crystals = random_crystals(2, 2)
    assert (get_view("anonymous")(crystals).numbers != crystals.numbers).any()


def test_an_error_names_each_bad_row_once() -> None:
    ids = np.array(["a", "b", "b", "c", "c"])
    refuse(ids, np.zeros(5, bool), "is wrong")
    with pytest.raises(DataError, match=r"^b: is wrong \(also c\)$"):
        refuse(ids, np.array([False, True, True, False, True]), "is wrong")
    many = np.arange(30).astype(str)
    with pytest.raises(DataError, match=r"^0: is wrong \(also 1, 2, .*10 and 19 more\)$"):
        refuse(many, np.ones(30, bool), "is wrong")
    assert first_ids([]) == ""
