from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers import random_crystals, repeatable
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.representations import Arrays, CrystalGraph, ElementPairs, Layout, MagpieFeatures, Representation
from crystalbench.representations.chosen import Chosen, Values

REPRESENTATIONS = [CrystalGraph(neighbors=4), MagpieFeatures(), ElementPairs()]


def assert_same(one: Arrays, other: Arrays) -> None:
    assert len(one) == len(other)
    assert one.layouts == other.layouts
    assert one.values.keys() == other.values.keys()
    assert one.offsets.keys() == other.offsets.keys()
    for name in one.values:
        assert one.values[name].dtype == other.values[name].dtype
        np.testing.assert_allclose(one.values[name], other.values[name], rtol=1e-12, atol=0)
    for level in one.offsets:
        assert np.array_equal(one.offsets[level], other.offsets[level])


@pytest.mark.parametrize("representation", REPRESENTATIONS, ids=lambda r: type(r).__name__)
@repeatable(15)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_slicing_arrays_equals_representing_the_slice(
    representation: Representation, data: st.DataObject, seed: int
) -> None:
    crystals = random_crystals(seed, n=6, most_atoms=4)
    index = data.draw(st.lists(st.integers(-6, 5), max_size=8))
    arrays = representation(crystals)
    if index:
        assert_same(arrays[index], representation(crystals[index]))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=6, max_size=6)))
    if mask.any():
        assert_same(arrays[mask], representation(crystals[mask]))
    assert_same(arrays[1:5:2], representation(crystals[1:5:2]))


def test_slicing_twice_and_selecting_nothing() -> None:
    arrays = CrystalGraph(neighbors=3)(random_crystals(1, 8))
    assert_same(arrays[[7, 0, 3]][[2, 1]], arrays[[3, 0]])
    assert len(arrays[[]]) == 0
    assert arrays[[]].values["neighbors"].shape == (0, 3)


@pytest.mark.parametrize("representation", REPRESENTATIONS, ids=lambda r: type(r).__name__)
def test_storage_and_back(representation: Representation) -> None:
    arrays = representation(random_crystals(4))
    assert_same(Arrays.from_storage(*arrays.to_storage()), arrays)


def test_chosen_crystals_are_copied_once_and_pickled_alone() -> None:
    arrays = CrystalGraph(neighbors=3)(random_crystals(1, 8))
    one = arrays[[5]]
    assert isinstance(one.part("distances"), Chosen)
    assert one.values["distances"] is one.values["distances"]
    assert not isinstance(one.part("distances"), Chosen)
    again = pickle.loads(pickle.dumps(arrays[[5]]))
    assert_same(again, one)
    assert len(pickle.dumps(arrays[[5]])) < len(pickle.dumps(arrays)) / 2


def test_values_are_used_like_a_dictionary() -> None:
    arrays = CrystalGraph(neighbors=3)(random_crystals(1, 8))
    before, chosen = arrays.values["distances"].copy(), arrays[[5]]
    more = {"more": np.zeros(1)}
    for values in (more | chosen.values, chosen.values | more):
        assert isinstance(values, Values) and values.keys() == chosen.values.keys() | {"more"}
    assert isinstance(chosen.part("distances"), Chosen)  # nothing was copied yet
    values = chosen.values.copy()
    values["distances"] = values["distances"] - 1
    del values["numbers"]
    again = Arrays(values, {name: arrays.layouts[name] for name in values}, arrays[[5]].offsets, 1)
    assert np.array_equal(again.values["distances"], chosen.values["distances"] - 1)
    assert "numbers" in chosen.values and np.array_equal(arrays.values["distances"], before)


def test_sizes_names_and_copies_of_chosen_crystals_copy_no_rows() -> None:
    arrays = CrystalGraph(neighbors=3)(random_crystals(1, 8))
    chosen = arrays[[5, 2]]
    size = chosen.nbytes
    assert f"distances: float32 ({chosen.offsets['atom'][-1]}, 3)" in repr(chosen.values)
    assert len(Arrays.concatenated([chosen, chosen])) == 4
    assert all(isinstance(chosen.part(name), Chosen) for name in chosen.values)
    assert size == sum(array.nbytes for array in (*chosen.values.values(), *chosen.offsets.values()))


def test_joining_takes_the_arrays_out_of_the_parts() -> None:
    arrays = CrystalGraph(neighbors=3)(random_crystals(1, 8))
    parts = [arrays[:3], arrays[3:]]
    assert_same(Arrays.concatenated(parts), arrays)
    assert_same(Arrays.joined(parts), arrays)
    assert [len(part.values) for part in parts] == [0, 0]


def test_arrays_with_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="'x' has 3 rows; its level 'crystal' has 2"):
        Arrays({"x": np.zeros(3)}, {"x": Layout("crystal")}, {}, 2)
    with pytest.raises(ValueError, match="'atom' has offsets for 1 crystals, not 2"):
        Arrays({}, {}, {"atom": np.array([0, 4])}, 2)
    with pytest.raises(ValueError, match="'x' has 3 rows; its level 'atom' has 4"):
        Arrays({"x": np.zeros(3)}, {"x": Layout("atom")}, {"atom": np.array([0, 2, 4])}, 2)


def test_rows_outside_are_refused() -> None:
    arrays = MagpieFeatures()(random_crystals(0, 4))
    with pytest.raises(IndexError, match="row 4 is outside"):
        arrays[[0, 4]]
    with pytest.raises(IndexError, match="mask"):
        arrays[np.array([True, False])]


def test_nbytes_counts_every_array() -> None:
    arrays = Arrays({"x": np.zeros((4, 2))}, {"x": Layout("atom")}, {"atom": np.array([0, 1, 4])}, 2)
    assert arrays.nbytes == 4 * 2 * 8 + 3 * 8


def test_two_representations_are_combined() -> None:
    crystals = random_crystals(5, 7)
    graphs, elements = CrystalGraph(neighbors=3)(crystals), ElementPairs()(crystals)
    both = graphs.combined_with(elements)
    assert both.values.keys() == graphs.values.keys() | elements.values.keys()
    order = [4, 0, 5]
    assert_same(both[order], graphs[order].combined_with(elements[order]))
    with pytest.raises(ValueError, match="both representations have atom, distances, neighbors, numbers"):
        graphs.combined_with(graphs)
    with pytest.raises(ValueError, match="arrays of 7 crystals cannot be combined with arrays of 3 crystals"):
        graphs.combined_with(elements[order])
