"""Complete data sets as tensors on a device, and batches by index arithmetic, without Python code per crystal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from crystalbench.data.flat import segment_rows
from crystalbench.plugins import require_extra
from crystalbench.representations import CRYSTAL, Arrays
from crystalbench.representations.chosen import Chosen
from crystalbench.representations.pyg import LEVELS, pyg_attributes

_WIDE = {torch.uint8: torch.int64, torch.int16: torch.int64, torch.int32: torch.int64}
_Place = tuple[str, int | None]
"""A level and the number of a choice of crystals: what has the same rows."""

_PADDED = 2**17  # rows up to which all crystals of a batch are padded to the largest one


@dataclass
class Batch:
    """The concatenated arrays of some crystals; indices are relative to the first row of the batch.

    Attributes:
        index: (n,) int64 row numbers of the crystals in the data set.
        values: tensors by name, each with the rows of its level.
        owners: by level, (rows,) int64: the crystal of each row, in [0, n).
        counts: by level, (n,) int64: number of rows of each crystal.
        host_counts: by level, the counts in main memory, known without waiting for a device.
    """

    index: Tensor
    values: dict[str, Tensor]
    owners: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)
    host_counts: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of crystals, n."""
        return len(self.index)

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of this name."""
        return self.values[name]

    def sum(self, rows: Tensor, level: str) -> Tensor:
        """Sum over each crystal, at least in single precision.

        Args:
            rows: (rows, d) values.
            level: level of the rows, such as ``"atom"``.

        Returns:
            (n, d).
        """
        rows = rows.to(_at_least_single(rows.dtype))
        return rows.new_zeros((self.size, *rows.shape[1:])).index_add(0, self.owners[level], rows)

    def mean(self, rows: Tensor, level: str, weights: Tensor | None = None) -> Tensor:
        """Mean over each crystal, at least in single precision.

        Args:
            rows: (rows, d) values.
            level: level of the rows, such as ``"atom"``.
            weights: (rows,) weights; equal ones by default.

        Returns:
            (n, d).
        """
        rows = rows.to(_at_least_single(rows.dtype))
        if weights is None:
            counts = self.counts[level].to(rows.dtype)
        else:
            weights = weights.to(rows.dtype)
            counts = self.sum(weights, level)
            rows = rows * weights.reshape(-1, *[1] * (rows.ndim - 1))
        return self.sum(rows, level) / counts.reshape(-1, *[1] * (rows.ndim - 1))

    def parts(self, level: str, dtype: torch.dtype, weights: Tensor | None = None) -> Tensor:
        """The part of its crystal that each row is: (rows,), with the sum 1 over the rows of a crystal.

        Args:
            level: level of the rows.
            dtype: of the result, which is at least in single precision.
            weights: (rows,) weights; equal ones by default.
        """
        dtype = _at_least_single(dtype)
        weights = None if weights is None else weights.to(dtype)
        totals = self.counts[level] if weights is None else self.sum(weights, level)
        parts = totals.to(dtype).reciprocal()[self.owners[level]]
        return parts if weights is None else parts * weights

    def places(self, level: str) -> list[Places]:
        """Where the rows of a level are if those of every crystal are padded to the same number.

        If one of many crystals is much larger than the others, padding would take up far more memory than the rows.
        Then crystals are divided into groups of similar size.

        Args:
            level: level of the rows.

        Returns:
            The places in each group of crystals; usually a single one.
        """
        owners, counts = self.owners[level], self.counts[level]
        on_host = self.host_counts[level] if level in self.host_counts else counts.cpu().numpy()
        most = int(on_host.max(initial=0))
        if self.size * most > _PADDED and len(groups := _groups_of_similar(on_host)) > 1:
            return [Places.of_group(group, on_host, owners.device) for group in groups]
        starts = torch.cumsum(counts, 0) - counts
        every = torch.arange(len(owners), device=owners.device)
        return [
            Places(every + (most * torch.arange(self.size, device=owners.device) - starts)[owners], self.size, most)
        ]

    def to_pyg(self) -> Any:
        """The crystals as a `torch_geometric.data.Batch`; for batches of a `PeriodicGraph`.

        It shares the tensors of this batch and stays on its device. It equals ``Batch.from_data_list`` of the single
        crystals and can be taken apart again (``to_data_list``). Besides ``batch`` (N,) and ``ptr`` (n + 1,), it has
        the attributes that `crystalbench.representations.pyg.pyg_attributes` lists: ``z``, ``pos``, ``cell``,
        ``edge_index``, ``edge_weight``, ``edge_attr``, ``edge_vec`` and ``cell_shift``.

        Raises:
            ConfigError: torch_geometric is not installed; the message names the extra.
            DataError: the batch is not one of a `PeriodicGraph`.
        """
        require_extra("pyg", "Batch.to_pyg")
        from torch_geometric.data import Batch as PyGBatch  # here, since it is optional and slow to import

        attributes = pyg_attributes(self.values)
        starts = {level: offsets_of(count) for level, count in self.counts.items()}
        starts[CRYSTAL] = torch.arange(self.size + 1, device=self.index.device)
        batch = PyGBatch(batch=self.owners["atom"], ptr=starts["atom"], **attributes)
        # What PyG itself stores of a batch, to take it apart.
        batch._num_graphs = self.size
        batch._slice_dict = {name: starts[LEVELS[name]] for name in attributes}
        batch._inc_dict = {name: starts["atom"][:-1] if name == "edge_index" else None for name in attributes}
        return batch


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    """Sums over many rows have no digits left in the types that autocast chooses: in bfloat16, 256 + 1 = 256."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


@dataclass(frozen=True, eq=False)
class Places:
    """Places of the rows of n crystals in an array in which every crystal has as many rows.

    Attributes:
        index: (rows,) int64, the place of each row.
        size: number of crystals, n.
        most: rows of a crystal, m.
        crystals: (n,) int64, these crystals in the batch; None for all of them.
        chosen: (rows,) int64, their rows in the batch; None for all of them.
    """

    index: Tensor
    size: int
    most: int
    crystals: Tensor | None = None
    chosen: Tensor | None = None

    @classmethod
    def of_group(
        cls, group: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], device: torch.device | str
    ) -> Places:
        """The places of some crystals of a batch.

        Args:
            group: (n,) the crystals.
            counts: rows of every crystal of the batch.
            device: device of the tensors.
        """
        sizes, most = counts[group], int(counts[group].max())
        positions = np.arange(sizes.sum()) + np.repeat(most * np.arange(len(group)) - np.cumsum(sizes) + sizes, sizes)
        rows = segment_rows(np.concatenate([[0], np.cumsum(counts)]), group)
        index, crystals, chosen = (
            torch.from_numpy(array).to(device, non_blocking=True) for array in (positions, group, rows)
        )
        return cls(index, len(group), most, crystals, chosen)

    def padded(self, rows: Tensor) -> Tensor:
        """Rows (rows of the batch, d) as (n, m, d), with zeros where a crystal has fewer."""
        if self.chosen is not None:
            rows = rows.index_select(0, self.chosen)
        places = rows.new_zeros(self.size * self.most, rows.shape[1])
        return places.index_copy(0, self.index, rows).view(self.size, self.most, rows.shape[1])

    def rows(self, padded: Tensor) -> Tensor:
        """The rows of these crystals, from the array (n, m, d)."""
        return padded.flatten(0, 1).index_select(0, self.index)


def _groups_of_similar(counts: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Crystals by number of rows, in groups that have few rows when padded, or a single crystal."""
    order = np.argsort(counts, kind="stable")
    groups, start = [], 0
    for end in range(1, len(order)):
        if (end + 1 - start) * int(counts[order[end]]) > _PADDED:
            groups.append(order[start:end])
            start = end
    return [*groups, order[start:]]


class DeviceArrays:
    """All arrays of a data set on a device.

    In main memory, arrays are shared with the representation: of selected crystals and of arrays that are mapped from a
    file nothing is copied but batches, and processes that train on the same crystals read the same memory.

    Args:
        arrays: a representation of n crystals.
        device: torch device.
    """

    def __init__(self, arrays: Arrays, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.length = len(arrays)
        self._layouts = arrays.layouts
        self._counts = {level: torch.from_numpy(np.diff(o)).to(self.device) for level, o in arrays.offsets.items()}
        # The sizes of batches must be known without waiting for the device.
        self._host_counts = {level: np.diff(o) for level, o in arrays.offsets.items()}
        self._values: dict[str, Tensor] = {}
        self._places: dict[str, _Place] = {}
        self._starts: dict[_Place, Tensor] = {}
        for name in arrays.values:
            layout, part = arrays.layouts[name], arrays.part(name)
            place: _Place
            if isinstance(part, Chosen) and self.device.type == "cpu" and _can_be_shared(part.array):
                array, place, starts = part.array, (layout.level, id(part.choice)), part.choice.starts
            else:
                array, place = arrays.values[name], (layout.level, None)
                starts = np.arange(self.length) if layout.level == CRYSTAL else arrays.offsets[layout.level][:-1]
            self._values[name], self._places[name] = _moved(array, self.device), place
            if place not in self._starts:
                self._starts[place] = torch.from_numpy(np.array(starts)).to(self.device)

    def __len__(self) -> int:
        """Number of crystals."""
        return self.length

    def batch(self, index: np.ndarray) -> Batch:
        """The crystals at these row numbers, in this order."""
        return self._batch(index, self._on_device(index))

    def _on_device(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(index, dtype=np.int64)).to(self.device, non_blocking=True)

    def _batch(self, index: np.ndarray, chosen: Tensor) -> Batch:
        owners: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        host_counts: dict[str, npt.NDArray[np.int64]] = {}
        new_starts: dict[str, Tensor] = {}
        for level, on_host in self._host_counts.items():
            host_counts[level] = on_host[index]
            counts[level] = count = self._counts[level][chosen]
            new_starts[level] = torch.cumsum(count, 0) - count
            owners[level] = torch.repeat_interleave(count, output_size=int(host_counts[level].sum()))
        rows: dict[_Place, Tensor] = {}
        for (level, choice), starts in self._starts.items():
            row = starts[chosen]
            if level != CRYSTAL:
                owner = owners[level]
                row = torch.arange(len(owner), device=self.device) + (row - new_starts[level])[owner]
            rows[level, choice] = row
        values = {}
        for name, tensor in self._values.items():
            layout = self._layouts[name]
            value = tensor[rows[self._places[name]]]
            value = value.to(_WIDE.get(value.dtype, value.dtype))
            if layout.points_to is not None and layout.points_to != CRYSTAL:
                start = new_starts[layout.points_to]
                if layout.level != CRYSTAL:
                    start = start[owners[layout.level]]
                value = value + start.reshape(-1, *[1] * (value.ndim - 1))
            values[name] = value
        return Batch(chosen, values, owners, counts, host_counts)

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        """All crystals in batches of at most ``size``, of nearly equal sizes.

        Args:
            size: largest batch.
            order: (n,) row numbers; in the order of the data set by default.
        """
        order = np.arange(self.length) if order is None else order
        parts = np.array_split(order, max(1, -(-len(order) // size)))
        on_device = torch.split(self._on_device(order), [len(part) for part in parts])
        for index, chosen in zip(parts, on_device, strict=True):
            yield self._batch(index, chosen)


def _can_be_shared(array: npt.NDArray[Any]) -> bool:
    """Whether a tensor of this array needs no copy."""
    return array.dtype != np.float64 and array.flags.c_contiguous and array.flags.aligned


def _moved(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the array is read-only: batches are copies
        tensor = torch.from_numpy(np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED")))
    # Integers are widened batch by batch, to save memory; floats are narrowed here, since not all devices have float64.
    return tensor.to(torch.float32 if tensor.dtype is torch.float64 else tensor.dtype).to(device)


def offsets_of(counts: Tensor) -> Tensor:
    """(n + 1,) int64, where groups of sizes (n,) begin, and where the last one ends."""
    return functional.pad(counts.cumsum(0), (1, 0))
