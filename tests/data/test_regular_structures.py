from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from crystalbench.data import crystals
from crystalbench.data.crystals import Crystals
from crystalbench.data.regular_structures import regular_structures
from crystalbench.errors import DataError

Entry = dict[str, Any]


def entries(seed: int = 0, n: int = 4) -> list[Entry]:
    """Structures as they are read from a JSON file."""
    rng = np.random.default_rng(seed)
    return [json.loads(json.dumps(structure.as_dict())) for structure in map(_random, [rng] * n)]


def _random(rng: np.random.Generator) -> Structure:
    atoms = int(rng.integers(1, 6))
    lattice = Lattice.from_parameters(*rng.uniform(3, 9, 3), *rng.uniform(70, 110, 3))
    return Structure(lattice, rng.choice(["Na", "Cl", "O", "D", "U"], atoms).tolist(), rng.uniform(-1, 2, (atoms, 3)))


def outcome(read: Callable[[], Crystals]) -> object:
    """The arrays as bytes with their types and shapes, or the message."""
    try:
        found = read()
    except DataError as error:
        return str(error)
    arrays = (found.lattices, found.frac_coords, found.numbers, found.offsets)
    return [(array.tobytes(), array.dtype, array.shape) for array in arrays]


def one_by_one(entries: list[Entry], names: list[str] | None = None) -> object:
    """The outcome if no structures are read at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crystals, "regular_structures", lambda _: None)
        return outcome(lambda: Crystals.from_dicts(entries, names))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5))
def test_regular_structures_are_read_at_once_with_the_same_bits(seed: int, n: int) -> None:
    given_ = entries(seed, n)
    found = regular_structures(given_)
    assert found is not None
    assert outcome(lambda: Crystals.from_flat(*found)) == one_by_one(given_)


def _site(entry: Entry) -> Entry:
    return entry["sites"][0]  # type: ignore[no-any-return]


UNUSUAL: dict[str, Callable[[Entry], object]] = {
    "no xyz": lambda e: _site(e).pop("xyz"),
    "no a": lambda e: e["lattice"].pop("a"),
    "no lattice": lambda e: e.pop("lattice"),
    "no volume": lambda e: e["lattice"].pop("volume"),
    "wrong volume": lambda e: e["lattice"].update(volume=1.02 * e["lattice"]["volume"]),
    "wrong alpha": lambda e: e["lattice"].update(alpha=e["lattice"]["alpha"] + 0.2),
    "nearly wrong gamma": lambda e: e["lattice"].update(gamma=e["lattice"]["gamma"] + 0.09),
    "null a": lambda e: e["lattice"].update(a=None),
    "text a": lambda e: e["lattice"].update(a="4"),
    "wrong a": lambda e: e["lattice"].update(a=e["lattice"]["a"] + 0.0101),
    "nearly wrong a": lambda e: e["lattice"].update(a=e["lattice"]["a"] + 0.0099),
    "a that is not a number": lambda e: e["lattice"].update(a=float("nan")),
    "no pbc": lambda e: e["lattice"].pop("pbc"),
    "null pbc": lambda e: e["lattice"].update(pbc=None),
    "pbc of numbers": lambda e: e["lattice"].update(pbc=[1, 1, 1]),
    "layer": lambda e: e["lattice"].update(pbc=[True, True, False]),
    "pbc of two": lambda e: e["lattice"].update(pbc=[True, True]),
    "matrix of two": lambda e: e["lattice"]["matrix"].pop(),
    "matrix of text": lambda e: e["lattice"].update(matrix=[["1", "0", "0"]] * 3),
    "infinite matrix": lambda e: e["lattice"]["matrix"][0].__setitem__(0, float("inf")),
    "long vector": lambda e: e["lattice"]["matrix"][0].__setitem__(0, 1e6),
    "huge vector": lambda e: e["lattice"]["matrix"][0].__setitem__(0, 1e300),
    "matrix as an array": lambda e: e["lattice"].update(matrix=np.array(e["lattice"]["matrix"])),
    "whole numbers": lambda e: _site(e).update(abc=[0, 0, 0], xyz=[0, 0, 0]),
    "large whole numbers": lambda e: [site.update(abc=[2**70, 0, 0]) for site in e["sites"]],
    "booleans": lambda e: [site.update(abc=[True, False, False]) for site in e["sites"]],
    "one boolean": lambda e: _site(e)["abc"].__setitem__(0, True),
    "abc of two": lambda e: _site(e)["abc"].pop(),
    "abc as an object": lambda e: _site(e).update(abc={0: 1, 1: 2, 2: 3}),
    "abc as text": lambda e: _site(e).update(abc="123"),
    "null in abc": lambda e: _site(e)["abc"].__setitem__(1, None),
    "abc that is not a number": lambda e: _site(e)["abc"].__setitem__(1, float("nan")),
    "abc elsewhere": lambda e: _site(e)["abc"].__setitem__(1, 0.123),
    "xyz elsewhere": lambda e: _site(e)["xyz"].__setitem__(1, _site(e)["xyz"][1] + 0.0101),
    "xyz nearly elsewhere": lambda e: _site(e)["xyz"].__setitem__(1, _site(e)["xyz"][1] + 0.0099),
    "null xyz": lambda e: _site(e).update(xyz=None),
    "xyz of two": lambda e: _site(e)["xyz"].pop(),
    "no sites": lambda e: e.update(sites=[]),
    "sites as an object": lambda e: e.update(sites={"0": _site(e)}),
    "null site": lambda e: e["sites"].__setitem__(0, None),
    "half occupied": lambda e: _site(e)["species"][0].update(occu=0.5),
    "occupied but for round-off": lambda e: _site(e)["species"][0].update(occu=1 - 1e-9),
    "occupancy true": lambda e: _site(e)["species"][0].update(occu=True),
    "occupancy as text": lambda e: _site(e)["species"][0].update(occu="1"),
    "no occupancy": lambda e: _site(e)["species"][0].pop("occu"),
    "two species": lambda e: _site(e)["species"].append({"element": "O", "occu": 0.5}),
    "no species": lambda e: _site(e).update(species=[]),
    "species as an object": lambda e: _site(e).update(species={"element": "O"}),
    "unknown element": lambda e: _site(e)["species"][0].update(element="Qq"),
    "element as a list": lambda e: _site(e)["species"][0].update(element=["O"]),
    "element as a number": lambda e: _site(e)["species"][0].update(element=8),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_structures_are_read_or_refused_as_one_by_one(change: Callable[[Entry], object]) -> None:
    changed = entries()
    change(changed[2])
    names = ["w", "x", "y", "z"]
    expected = one_by_one(copy.deepcopy(changed), names)
    assert outcome(lambda: Crystals.from_dicts(changed, names)) == expected


@pytest.mark.parametrize("entry", [None, 5, "text", [], {"sites": []}])
def test_an_entry_that_is_no_structure_is_named(entry: object) -> None:
    with pytest.raises(DataError, match=r"row 1: is not a pymatgen structure in JSON form"):
        Crystals.from_dicts([entries()[0], entry])  # type: ignore[list-item]


def test_no_structures_give_empty_arrays() -> None:
    found = Crystals.from_dicts([])
    assert (found.lattices.shape, found.frac_coords.shape, len(found)) == ((0, 3, 3), (0, 3), 0)
