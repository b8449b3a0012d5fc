from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import isolated_atom, known_structures, random_crystals, repeatable
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.data.crystals import concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.representations import CRYSTAL, Arrays, CrystalGraph, Layout, PeriodicGraph
from crystalbench.representations.pyg import pyg_attributes


def two_levels() -> Arrays:
    """Four crystals with atoms and bonds; bonds point to atoms, atoms to bonds, crystals to atoms."""
    atoms, bonds = np.array([0, 2, 3, 3, 7]), np.array([0, 1, 4, 4, 6])
    return Arrays(
        values={
            "volume": np.array([10.0, 20, 30, 40]),
            "first": np.array([1, 0, 0, 3], dtype=np.int32),
            "mass": np.arange(7, dtype=np.float32)[:, None] * [1.0, 10.0],
            "end": np.array([1, 0, 0, 0, 3, 2], dtype=np.int32),
            "flag": np.arange(6) % 2 == 0,
        },
        layouts={
            "volume": Layout(CRYSTAL),
            "first": Layout(CRYSTAL, "atom"),
            "mass": Layout("atom"),
            "end": Layout("bond", "atom"),
            "flag": Layout("bond"),
        },
        offsets={"atom": atoms, "bond": bonds},
        length=4,
    )


@repeatable(25)
@given(index=st.lists(st.integers(0, 8), min_size=1, max_size=12), seed=st.integers(0, 100))
def test_a_batch_of_graphs_equals_the_single_graphs(index: list[int], seed: int) -> None:
    arrays = CrystalGraph(neighbors=5)(random_crystals(seed, 9))
    batch = DeviceArrays(arrays, "cpu").batch(np.array(index))
    start = 0
    for position, i in enumerate(index):
        one = arrays[[i]]
        atoms = slice(start, start + len(one.values["numbers"]))
        assert np.array_equal(batch["numbers"][atoms], one.values["numbers"])
        assert np.array_equal(batch["neighbors"][atoms], one.values["neighbors"] + start)
        assert np.array_equal(batch["distances"][atoms], one.values["distances"])
        assert (batch.owners["atom"][atoms] == position).all()
        assert batch.counts["atom"][position] == atoms.stop - atoms.start
        start = atoms.stop
    assert len(batch["numbers"]) == start
    assert batch.size == len(index)


def test_levels_may_point_to_each_other() -> None:
    batch = DeviceArrays(two_levels(), "cpu").batch(np.array([3, 1, 0]))
    assert batch["volume"].tolist() == [40, 20, 10]
    assert batch["mass"][:, 0].tolist() == [3, 4, 5, 6, 2, 0, 1]
    assert batch["end"].tolist() == [3, 2, 4, 4, 4, 6]  # atoms now start at 0, 4 and 5
    assert batch["flag"].tolist() == [True, False, False, True, False, True]
    assert batch.owners["bond"].tolist() == [0, 0, 1, 1, 1, 2]


def test_an_array_of_crystals_may_point_to_atoms() -> None:
    batch = DeviceArrays(two_levels(), "cpu").batch(np.array([3, 0]))
    assert batch["first"].tolist() == [3, 4 + 1]


def test_batches_have_the_types_that_networks_expect() -> None:
    batch = DeviceArrays(two_levels(), "cpu").batch(np.array([0]))
    types = {name: value.dtype for name, value in batch.values.items()}
    assert types["volume"] == types["mass"] == torch.float32
    assert types["end"] == types["first"] == torch.int64
    assert types["flag"] == torch.bool


@repeatable(25)
@given(index=st.lists(st.integers(0, 8), min_size=1, max_size=12), width=st.integers(1, 4))
def test_sums_and_means_over_crystals(index: list[int], width: int) -> None:
    crystals = random_crystals(3, 9)
    batch = DeviceArrays(CrystalGraph(neighbors=2)(crystals), "cpu").batch(np.array(index))
    chosen = crystals[index]
    rows = np.random.default_rng(0).normal(size=(len(chosen.numbers), width))
    parts = [rows[chosen.offsets[i] : chosen.offsets[i + 1]] for i in range(len(index))]
    tensor = torch.from_numpy(rows)
    np.testing.assert_allclose(batch.sum(tensor, "atom"), [p.sum(0) for p in parts], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(batch.mean(tensor, "atom"), [p.mean(0) for p in parts], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(batch.mean(tensor[:, 0], "atom"), [p[:, 0].mean() for p in parts], atol=1e-12)


def batch_of(counts: list[int]) -> Batch:
    numbers = torch.tensor(counts)
    return Batch(torch.arange(len(counts)), {}, {"atom": torch.repeat_interleave(numbers)}, {"atom": numbers})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_cells_have_precise_sums_under_autocast(dtype: torch.dtype) -> None:
    """Numbers of 16 bits have at most 11 digits, so that sums of ones end at 256 or 2048."""
    batch, rows, weights = batch_of([5000, 3]), torch.ones(5003, 2, dtype=dtype), torch.ones(5003, dtype=dtype)
    assert batch.sum(rows, "atom").tolist() == [[5000, 5000], [3, 3]]
    assert batch.mean(rows, "atom").tolist() == batch.mean(rows, "atom", weights).tolist() == [[1, 1], [1, 1]]
    for parts in (batch.parts("atom", dtype), batch.parts("atom", dtype, weights)):
        torch.testing.assert_close(batch.sum(parts, "atom"), torch.ones(2), atol=1e-3, rtol=0)


def test_one_large_crystal_of_a_batch_does_not_pad_the_others() -> None:
    counts = [2, 10_000, *[1, 7] * 31]
    batch = batch_of(counts)
    groups = batch.places("atom")
    assert sum(group.size * group.most for group in groups) < 2 * sum(counts)
    rows = torch.arange(sum(counts), dtype=torch.float64).unsqueeze(1) + 1
    seen = torch.zeros(len(counts), dtype=torch.float64)
    for group in groups:
        assert group.crystals is not None
        assert group.chosen is not None
        padded = group.padded(rows)
        seen[group.crystals] = padded.sum((1, 2))
        torch.testing.assert_close(group.rows(padded), rows[group.chosen])
    torch.testing.assert_close(seen, batch.sum(rows, "atom")[:, 0])


def test_equally_large_crystals_are_one_group_each_if_they_are_larger_than_the_limit() -> None:
    groups = batch_of([200_000, 200_000]).places("atom")
    assert [(group.size, group.most) for group in groups] == [(1, 200_000)] * 2
    assert len(batch_of([200_000]).places("atom")) == 1


@repeatable(40)
@given(n=st.integers(1, 60), size=st.integers(1, 70), seed=st.none() | st.integers(0, 9))
def test_batches_contain_every_row_once_and_are_even(n: int, size: int, seed: int | None) -> None:
    arrays = Arrays({"row": np.arange(n)}, {"row": Layout(CRYSTAL)}, {}, n)
    order = None if seed is None else np.random.default_rng(seed).permutation(n)
    batches = list(DeviceArrays(arrays, "cpu").batches(size, order))
    seen = torch.cat([batch.index for batch in batches])
    assert np.array_equal(seen, np.arange(n) if order is None else order)
    assert np.array_equal(torch.cat([batch["row"] for batch in batches]), seen)
    sizes = [batch.size for batch in batches]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-n // size)


@repeatable(25)
@given(index=st.lists(st.integers(0, 3), min_size=1, max_size=6), more=st.lists(st.integers(0, 3), max_size=4))
def test_batches_of_chosen_crystals_are_those_of_copies(index: list[int], more: list[int]) -> None:
    arrays, again = two_levels(), [i % len(index) for i in more]
    chosen = arrays[index][again] if more else arrays[index]
    copies = Arrays(dict(chosen.values), chosen.layouts, chosen.offsets, len(chosen))
    fresh = arrays[index][again] if more else arrays[index]  # nothing of it was read, so nothing copied
    marks = np.arange(len(chosen), dtype=np.float32)
    everything = np.arange(len(chosen))[::-1].copy()
    one, other = (DeviceArrays(data.with_rows(mark=marks), "cpu").batch(everything) for data in (fresh, copies))
    assert one.values.keys() == other.values.keys()
    for name, value in one.values.items():
        assert value.dtype == other[name].dtype and torch.equal(value, other[name])
    for level in ("atom", "bond"):
        assert torch.equal(one.owners[level], other.owners[level])


def test_chosen_crystals_and_mapped_files_share_their_memory(tmp_path: Path) -> None:
    arrays = two_levels()
    ends = np.lib.format.open_memmap(tmp_path / "end.npy", "w+", np.int32, (6,))
    ends[:] = arrays.values["end"]
    ends.flush()
    mapped = np.load(tmp_path / "end.npy", mmap_mode="r")
    arrays = Arrays({**arrays.values, "end": mapped}, arrays.layouts, arrays.offsets, len(arrays))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = DeviceArrays(arrays[[3, 1]], "cpu")
    assert data._values["end"].data_ptr() == mapped.ctypes.data
    assert data._values["flag"].data_ptr() == arrays.values["flag"].ctypes.data
    data.batch(np.array([0, 1]))["end"].zero_()  # batches are copies
    assert mapped.tolist() == [1, 0, 0, 0, 3, 2]


ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)
FIELDS = np.zeros(6, [("small", np.int8), ("value", np.float32, 4)])
FIELDS["value"] = ROWS
LAYOUTS_IN_MEMORY = {
    "reversed": ROWS[::-1],
    "mirrored": ROWS[:, ::-1],
    "transposed": ROWS.reshape(4, 6).T,
    "repeated": np.broadcast_to(np.float32(2), (6, 4)),
    "field": FIELDS["value"],
    "double": ROWS.astype(np.float64),
    "unsigned": ROWS.astype(np.uint16),
}


@pytest.mark.parametrize("name", LAYOUTS_IN_MEMORY)
def test_arrays_may_have_any_layout_in_memory(name: str) -> None:
    array = LAYOUTS_IN_MEMORY[name]
    arrays = Arrays({"x": array}, {"x": Layout(CRYSTAL)}, {}, 6)
    for part, rows in ((arrays, [4, 1]), (arrays[[5, 4, 1]], [1, 2]), (arrays[[0, 5, 4, 1]][1:], [1, 2])):
        assert DeviceArrays(part, "cpu").batch(np.array(rows))["x"].tolist() == array[[4, 1]].tolist()


def test_layouts_without_an_array_are_left_out() -> None:
    arrays = Arrays({"x": ROWS}, {"x": Layout(CRYSTAL), "not_made": Layout(CRYSTAL)}, {}, 6)
    assert list(DeviceArrays(arrays[[2]], "cpu").batch(np.array([0])).values) == ["x"]


def test_the_arrays_are_not_changed() -> None:
    arrays = two_levels()
    for array in arrays.values.values():
        array.flags.writeable = False
    before = {name: array.copy() for name, array in arrays.values.items()}
    batch = DeviceArrays(arrays, "cpu").batch(np.array([0, 3]))
    for value in batch.values.values():
        value.zero_()
    assert all(np.array_equal(arrays.values[name], before[name]) for name in before)


def test_rows_outside_are_refused() -> None:
    with pytest.raises(IndexError):
        DeviceArrays(two_levels(), "cpu").batch(np.array([4]))


# ---------------------------------------------------------------------- PyTorch Geometric


def periodic(cutoff: float = 4.0) -> DeviceArrays:
    crystals = concatenate([random_crystals(0, 4), isolated_atom(), known_structures()])
    return DeviceArrays(PeriodicGraph(cutoff=cutoff)(crystals), "cpu")


def test_a_batch_of_pyg_equals_the_one_that_pyg_makes_of_single_crystals() -> None:
    from torch_geometric.data import Batch as PyGBatch
    from torch_geometric.data import Data

    index = np.array([5, 0, 4, 2, 5])
    data = periodic()
    found = data.batch(index).to_pyg()
    single = [Data(**pyg_attributes(data.batch(np.array([i])).values)) for i in index]
    expected = PyGBatch.from_data_list(single)
    assert set(found.keys()) == set(expected.keys())
    for name in expected.keys():  # noqa: SIM118 (a batch iterates over pairs)
        assert torch.equal(found[name], expected[name]), name
        assert found[name].dtype == expected[name].dtype
    assert found.num_graphs == len(found) == 5
    assert found.num_nodes == expected.num_nodes
    for one, same in zip(found.to_data_list(), single, strict=True):
        assert all(torch.equal(one[name], same[name]) for name in same.keys())  # noqa: SIM118


def test_vectors_of_a_batch_of_pyg_point_from_the_receiver_to_the_sender() -> None:
    batch = periodic().batch(np.arange(8)).to_pyg()
    sender, receiver = batch.edge_index
    shifts = torch.einsum("ei,eij->ej", batch.cell_shift, batch.cell[batch.batch[sender]])
    torch.testing.assert_close(batch.pos[sender] + shifts - batch.pos[receiver], batch.edge_vec, atol=2e-5, rtol=0)
    torch.testing.assert_close(batch.edge_vec.norm(dim=1), batch.edge_weight)
    assert torch.equal(batch.edge_attr[:, 0], batch.edge_weight)


def test_a_batch_of_pyg_shares_its_tensors() -> None:
    batch = periodic().batch(np.arange(3))
    found = batch.to_pyg()
    assert found.pos.data_ptr() == batch["positions"].data_ptr()
    assert found.edge_vec.data_ptr() == batch["vectors"].data_ptr()
    assert found.batch.data_ptr() == batch.owners["atom"].data_ptr()


def test_other_graphs_cannot_become_batches_of_pyg() -> None:
    batch = DeviceArrays(CrystalGraph(neighbors=5)(random_crystals(0, 2)), "cpu").batch(np.arange(2))
    with pytest.raises(DataError, match="made of the arrays of a PeriodicGraph; these have no positions"):
        batch.to_pyg()


def test_without_pyg_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(ConfigError, match=r"Batch\.to_pyg needs torch_geometric.*pip install 'crystalbench\[pyg\]'"):
        periodic().batch(np.arange(2)).to_pyg()
