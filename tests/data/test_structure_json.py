"""Structures in JSON form that contradict themselves, and problems of several structures at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError


def salt(**lattice: Any) -> dict[str, Any]:
    entry: dict[str, Any] = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).as_dict()
    entry["lattice"] |= lattice
    return entry


def with_site(**site: Any) -> dict[str, Any]:
    entry = salt()
    entry["sites"][1] |= site
    return entry


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (salt(alpha=60.0), "the lattice has alpha = 60°, and its matrix 90°"),
        (salt(volume=99.0), "the lattice has a volume of 99 Å³, and its matrix of 64 Å³"),
        (with_site(xyz=["2", "2", "2"]), "the xyz of site 1 is .*, not three numbers"),
        (with_site(xyz=[2.0, 2.0]), "the xyz of site 1 is .*, not three numbers"),
        (with_site(xyz=[2.0, None, 2.0]), "the xyz of site 1 is .*, not three numbers"),
        (with_site(abc=[1e9 + 0.5, 0.5, 0.5], xyz=None), "fractional coordinate beyond ±10000"),
        (with_site(species=[{"element": ["Cl"], "occu": 1}]), r"site 1 contains \['Cl'\], which is not an element"),
        (with_site(species=[{"element": 17, "occu": 1}]), "site 1 contains 17, which is not an element"),
    ],
)
def test_structures_that_contradict_themselves_are_refused(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=f"bad: .*{reason}"):
        Crystals.from_dicts([salt(), entry], ["good", "bad"])


def test_redundant_entries_may_be_missing() -> None:
    entry = with_site(xyz=None)
    entry["lattice"] = {"matrix": entry["lattice"]["matrix"]}
    assert Crystals.from_dicts([entry]).formulas() == ["Na1 Cl1"]


def test_all_bad_structures_are_named_at_once() -> None:
    with pytest.raises(DataError, match=r"^a: contradicts .*\(also c\)$"):
        Crystals.from_dicts([salt(a=5.0), salt(), salt(pbc=[True, True, False])], ["a", "b", "c"])
    layer = Structure(Lattice(np.eye(3) * 4, pbc=(True, True, False)), ["S"], [[0, 0, 0]])
    mixed = Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]])
    with pytest.raises(DataError, match=r"^a: is periodic in 2 of three .*\(also b\)$"):
        Crystals.from_pymatgen([layer, mixed], ["a", "b"])
