from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition

from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.fingerprint import normal_formula
from crystalbench.tasks.matbench.official import OFFICIAL, content_fingerprint, official_ids, official_task, rows_of_ids


def package_json(package: str, *path: str) -> Any:
    """A file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed: its own metadata cannot be compared")
    return json.loads(Path(spec.origin).parent.joinpath(*path).read_text(encoding="utf-8"))


def test_there_are_13_tasks_with_complete_facts() -> None:
    assert len(OFFICIAL) == 13
    for name, task in OFFICIAL.items():
        assert task.name == name == f"matbench_{task.short}"
        assert len(task.sha256) == len(task.fingerprint) == 64
        assert task.metric == ("mae" if task.kind is Kind.REGRESSION else "rocauc")
        assert bool(task.unit) == (task.kind is Kind.REGRESSION)
        assert task.reference
        assert task.license
    assert len({task.fingerprint for task in OFFICIAL.values()}) == 13


def test_facts_equal_those_of_matbench() -> None:
    metadata = package_json("matbench", "matbench_v0.1_dataset_metadata.json")
    kinds = {"regression": Kind.REGRESSION, "classification": Kind.BINARY}
    assert set(OFFICIAL) == set(metadata)
    for name, theirs in metadata.items():
        ours = OFFICIAL[name]
        assert (ours.n_samples, ours.input, ours.target) == (
            theirs["n_samples"],
            theirs["input_type"],
            theirs["target"],
        )
        assert ours.kind is kinds[theirs["task_type"]]
        assert ours.unit == (theirs["unit"] or "").replace("cm^-1", "cm⁻¹")


def test_facts_equal_those_of_matminer() -> None:
    metadata = package_json("matminer", "datasets", "dataset_metadata.json")
    for name, ours in OFFICIAL.items():
        theirs = metadata[name]
        assert (ours.n_samples, ours.sha256, ours.url) == (theirs["num_entries"], theirs["hash"], theirs["url"])
        assert set(theirs["columns"]) == {ours.input, ours.target}


def test_identifiers() -> None:
    # Typed from Matbench's split file.
    assert "mb-dielectric-0008" in official_ids("matbench_dielectric")
    assert official_ids("matbench_expt_is_metal")[3] == "mb-expt-is-metal-0004"
    assert official_ids("matbench_mp_e_form")[[3, -1]].tolist() == ["mb-mp-e-form-000004", "mb-mp-e-form-132752"]
    assert official_ids("matbench_steels")[2] == "mb-steels-003"
    with pytest.raises(ValueError, match="read-only"):
        official_ids("matbench_steels")[0] = "x"


@pytest.mark.parametrize("name", OFFICIAL)
def test_rows_are_the_inverse_of_ids(name: str) -> None:
    rows = np.random.default_rng(0).permutation(OFFICIAL[name].n_samples)[:500]
    np.testing.assert_array_equal(rows_of_ids(name, official_ids(name)[rows]), rows)


def test_rows_of_no_ids() -> None:
    assert rows_of_ids("matbench_steels", []).shape == (0,)


@pytest.mark.parametrize("bad", ["mb-phonons-1", "mb-phonons-1266", "mb-phonons-0000", "mb-steels-001", "zzz", ""])
def test_a_wrong_id_is_named(bad: str) -> None:
    with pytest.raises(DataError, match=r"1 of 3.*row 1: .*mb-phonons-0001 to mb-phonons-1265") as error:
        rows_of_ids("matbench_phonons", ["mb-phonons-0001", bad, "mb-phonons-0003"])
    assert repr(bad) in str(error.value)


def test_a_repeated_id_is_named() -> None:
    with pytest.raises(DataError, match=r"more than once: mb-phonons-0003; mb-phonons-0003 is in rows 0, 2$"):
        rows_of_ids("matbench_phonons", ["mb-phonons-0003", "mb-phonons-0001", "mb-phonons-0003"])


def test_an_unknown_task_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'matbench_phonons'"):
        official_task("phonons")


@pytest.mark.parametrize(
    ("formula", "normal"),
    [
        ("Ba1 Mg2 Ge2", "Mg2 Ge2 Ba1"),
        ("NaCl", "Na1 Cl1"),
        ("Ag(W3Br7)2", "Br14 Ag1 W6"),
        ("Bi0.002Te0.003Pb0.999Se0.999", "Se0.999 Te0.003 Pb0.999 Bi0.002"),
        ("Fe0.620C0.000953", "C0.000953 Fe0.62"),
        ("H2OH", "H3 O1"),
    ],
)
def test_normal_formula(formula: str, normal: str) -> None:
    assert normal_formula(formula) == normal
    assert normal_formula(Composition(formula).get_el_amt_dict()) == normal


@given(st.dictionaries(st.sampled_from(SYMBOLS[1:95]), st.integers(1, 400), min_size=1, max_size=6), st.randoms())
def test_normal_formula_does_not_depend_on_the_order(amounts: dict[str, int], random: Any) -> None:
    terms = [f"{symbol}{amount}" for symbol, amount in amounts.items()]
    random.shuffle(terms)
    assert normal_formula(" ".join(terms)) == normal_formula("".join(terms)) == normal_formula(amounts)


@pytest.mark.parametrize("formula", ["", "abc", "Xx2", "Na(Cl", "2"])
def test_an_unreadable_formula_is_refused(formula: str) -> None:
    with pytest.raises(DataError):
        normal_formula(formula)


def test_the_fingerprint_depends_on_content_and_order_only() -> None:
    base = content_fingerprint(["Na4 Cl4", "Ag(AuS)2"], [1.5, 0.0])
    assert base == content_fingerprint(["Cl4Na4", "Ag1 Au2 S2"], np.array([1.5 + 1e-12, -0.0]))
    assert base != content_fingerprint(["NaCl", "Ag(AuS)2"], [1.5, 0.0])
    assert base != content_fingerprint(["Ag(AuS)2", "Na4 Cl4"], [0.0, 1.5])
    assert base != content_fingerprint(["Na4 Cl4", "Ag(AuS)2"], [1.5001, 0.0])
    assert content_fingerprint(["Al"], [True]) == content_fingerprint(["Al1"], [1.0])


def test_the_fingerprint_refuses_invalid_rows() -> None:
    with pytest.raises(DataError, match=r"2 formulas, but the targets have shape \(1,\)"):
        content_fingerprint(["NaCl", "KCl"], [1.0])
    with pytest.raises(DataError, match="target of row 1 is nan"):
        content_fingerprint(["NaCl", "KCl"], [1.0, np.nan])
