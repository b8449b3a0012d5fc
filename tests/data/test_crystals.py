from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Element, Lattice, Structure

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import SYMBOLS, atomic_number
from crystalbench.errors import DataError


def random_structures(seed: int, n: int) -> list[Structure]:
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(n):
        atoms = int(rng.integers(1, 12))
        lattice = Lattice.from_parameters(*rng.uniform(2, 9, 3), *rng.uniform(65, 115, 3))
        species = [SYMBOLS[z] for z in rng.integers(1, 119, atoms)]
        structures.append(Structure(lattice, species, rng.uniform(-1.5, 1.5, (atoms, 3))))
    return structures


def same(one: Structure, other: Structure) -> bool:
    return (
        np.array_equal(one.lattice.matrix, other.lattice.matrix)
        and np.array_equal(one.frac_coords, other.frac_coords)
        and [site.specie.symbol for site in one] == [site.specie.symbol for site in other]
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6))
def test_the_pymatgen_round_trip_is_exact(seed: int, n: int) -> None:
    structures = random_structures(seed, n)
    crystals = Crystals.from_pymatgen(structures)
    assert all(same(a, b) for a, b in zip(structures, crystals.to_pymatgen(), strict=True))
    assert crystals.formulas() == [s.composition.formula for s in structures]
    assert crystals.atom_counts.tolist() == [len(s) for s in structures]
    np.testing.assert_allclose(crystals.volumes, [s.volume for s in structures])
    np.testing.assert_allclose(crystals.cart_coords, np.concatenate([s.cart_coords for s in structures]), atol=1e-12)
    dicts = Crystals.from_dicts(s.as_dict() for s in structures)
    assert dicts.digest == crystals.digest
    assert dicts.ids.tolist() == crystals.ids.tolist()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_slicing_is_slicing_of_the_list(seed: int, data: st.DataObject) -> None:
    structures = random_structures(seed, 6)
    crystals = Crystals.from_pymatgen(structures, [f"s{i}" for i in range(6)])
    index = data.draw(st.lists(st.integers(-6, 5), max_size=9))
    chosen = crystals[index]
    assert chosen.ids.tolist() == [f"s{i % 6}" for i in index]
    assert all(same(structures[i], s) for i, s in zip(index, chosen.to_pymatgen(), strict=True))
    if index:
        assert chosen.digest == Crystals.from_pymatgen([structures[i] for i in index]).digest
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=6, max_size=6)))
    assert crystals[mask].ids.tolist() == crystals.ids[mask].tolist()
    part = data.draw(st.slices(6))
    assert crystals[part].ids.tolist() == crystals.ids.tolist()[part]


def test_a_row_outside_is_refused() -> None:
    crystals = Crystals.from_pymatgen(random_structures(0, 3))
    for key in (3, [-4], np.ones(4, bool), [0.5], 1.0, ["1"]):
        with pytest.raises(IndexError):
            crystals[key]
    assert not len(crystals[[]])
    assert len(crystals[2]) == 1


def test_wrapping_keeps_the_crystal() -> None:
    crystals = Crystals.from_pymatgen(random_structures(1, 20))
    wrapped = crystals.wrapped()
    assert (wrapped.frac_coords >= 0).all() and (wrapped.frac_coords < 1).all()
    difference = wrapped.frac_coords - crystals.frac_coords
    np.testing.assert_allclose(difference, np.rint(difference), atol=1e-12)
    tiny = Crystals.from_flat([np.eye(3)], [[-1e-17, 0.0, 1.0]], [1], [1]).wrapped()
    assert tiny.frac_coords.tolist() == [[0.0, 0.0, 0.0]]


def test_the_digest_depends_on_the_content_only() -> None:
    structures = random_structures(2, 4)
    crystals = Crystals.from_pymatgen(structures)
    assert Crystals.from_pymatgen(structures, list("abcd")).digest == crystals.digest
    assert crystals[[1, 0, 2, 3]].digest != crystals.digest
    structures[0].translate_sites([0], [1e-9, 0, 0], to_unit_cell=False)
    assert Crystals.from_pymatgen(structures).digest != crystals.digest


def test_saved_crystals_are_mapped_when_loaded(tmp_path: Path) -> None:
    crystals = Crystals.from_pymatgen(random_structures(3, 5), list("abcde"))
    crystals.save(tmp_path / "store")
    loaded = Crystals.load(tmp_path / "store")
    assert isinstance(loaded.frac_coords, np.memmap)
    assert loaded.digest == crystals.digest
    assert loaded.ids.tolist() == list("abcde")
    assert loaded[[4, 0]].digest == crystals[[4, 0]].digest
    with pytest.raises(ValueError, match="read-only"):
        loaded.frac_coords[0] = 0
    crystals[:0].save(tmp_path / "empty")
    assert len(Crystals.load(tmp_path / "empty")) == 0
    with pytest.raises(DataError, match="absent"):
        Crystals.load(tmp_path / "absent")
    (tmp_path / "store" / "meta.json").write_text('{"format": "other"}')
    with pytest.raises(DataError, match="'other'"):
        Crystals.load(tmp_path / "store")


@pytest.mark.parametrize("species", [{"Cu": 0.5, "Au": 0.5}, {"Cu": 0.9}])
def test_a_disordered_site_is_refused_with_id_and_site(species: dict[str, float]) -> None:
    good = random_structures(4, 1)[0]
    bad = Structure(Lattice.cubic(4), ["Cu", species], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(DataError, match="second: site 1 is disordered"):
        Crystals.from_pymatgen([good, bad], ["first", "second"])
    with pytest.raises(DataError, match="second: site 1 is disordered"):
        Crystals.from_dicts([good.as_dict(), bad.as_dict()], ["first", "second"])
    with pytest.raises(DataError, match="row 1: site 1 is disordered"):
        Crystals.from_dicts([good.as_dict(), bad.as_dict()])


def test_oxidation_states_are_discarded() -> None:
    salt = Structure(Lattice.cubic(4), ["Na+", "Cl-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert Crystals.from_pymatgen([salt]).numbers.tolist() == [11, 17]
    assert Crystals.from_dicts([salt.as_dict()]).numbers.tolist() == [11, 17]


def test_deuterium_is_hydrogen() -> None:
    ice = Structure(Lattice.cubic(4), ["D", "T", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0]])
    assert Crystals.from_pymatgen([ice]).numbers.tolist() == [1, 1, 8]
    assert Crystals.from_dicts([ice.as_dict()]).numbers.tolist() == [1, 1, 8]
    assert (atomic_number("D"), atomic_number("T")) == (1, 1)


def test_the_heaviest_element_is_118() -> None:
    crystal = Crystals.from_flat([4 * np.eye(3)], [[0, 0, 0]], [118], [1])
    assert crystal.structure(0)[0].specie.symbol == "Og" == SYMBOLS[118] == Element.from_Z(118).symbol
    for number in (119, 0, -1):
        with pytest.raises(DataError, match=r"x: has an atomic number outside 1 to 118"):
            Crystals.from_flat([4 * np.eye(3)], [[0, 0, 0]], [number], [1], ["x"])


@pytest.mark.parametrize("atoms", [1, 300])
def test_cells_of_one_atom_and_of_many(atoms: int) -> None:
    rng = np.random.default_rng(5)
    structure = Structure(Lattice.cubic(20), ["Fe"] * atoms, rng.random((atoms, 3)))
    crystals = Crystals.from_pymatgen([structure, *random_structures(6, 2)])
    assert crystals.atom_counts[0] == atoms
    assert same(crystals.structure(0), structure)
    assert crystals.owners[:atoms].tolist() == [0] * atoms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1, 0], "coords": [[0, 0, 0]], "numbers": [1]}, "b: has no atoms"),
        ({"lattices": [np.eye(3), np.full((3, 3), np.nan)]}, "b: has a lattice that is not finite"),
        ({"lattices": [np.eye(3), np.zeros((3, 3))]}, "b: has a cell without volume"),
        ({"coords": [[0, 0, 0], [0, np.inf, 0]]}, "b: has a coordinate that is not finite"),
        ({"coords": [[0, 0, 0]]}, "need 2 lattices, 2 coordinates and 2 atomic numbers; got 2, 1 and 2"),
        ({"ids": ["a"]}, "1 ids for 2 rows"),
    ],
)
def test_flat_arrays_with_mistakes_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "lattices": [np.eye(3), np.eye(3)],
        "coords": [[0, 0, 0], [0, 0, 0]],
        "numbers": [1, 1],
        "counts": [1, 1],
        "ids": ["a", "b"],
        **change,
    }
    with pytest.raises(DataError, match=message):
        Crystals.from_flat(*(arguments[name] for name in ("lattices", "coords", "numbers", "counts", "ids")))  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [{}, {"lattice": {"matrix": np.eye(3).tolist()}}, "text", None, 5])
def test_an_object_that_is_not_a_structure_is_refused(entry: object) -> None:
    with pytest.raises(DataError, match="x: is not a pymatgen structure"):
        Crystals.from_dicts([entry], ["x"])  # type: ignore[list-item]


@pytest.mark.parametrize("symbol", ["X", "Qq", "Vac"])
def test_an_unknown_element_is_refused(symbol: str) -> None:
    entry = random_structures(7, 1)[0].as_dict()
    entry["sites"][0]["species"] = [{"element": symbol, "occu": 1}]
    with pytest.raises(DataError, match=f"x: site 0 contains '{symbol}', which is not an element"):
        Crystals.from_dicts([entry], ["x"])


def test_compositions_of_the_cells() -> None:
    structures = random_structures(8, 10)
    cells = Crystals.from_pymatgen(structures).compositions()
    for i, structure in enumerate(structures):
        assert cells.amounts_of(i) == structure.composition.get_el_amt_dict()


def test_a_large_data_set_needs_little_memory() -> None:
    n, atoms = 130_000, 30
    crystals = Crystals.from_flat(
        np.broadcast_to(5 * np.eye(3), (n, 3, 3)),
        np.zeros((n * atoms, 3)),
        np.full(n * atoms, 26, np.uint8),
        np.full(n, atoms),
        np.char.mod("mb-mp-e-form-%06d", np.arange(n)),
    )
    assert len(crystals) == n
    assert sum(np.asarray(array).nbytes for array in crystals.to_arrays().values()) < 250e6
