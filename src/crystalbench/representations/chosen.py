"""Chosen crystals of arrays: nothing is copied before it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.flat import segment_rows

_Array = npt.NDArray[Any]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Choice:
    """Some crystals, in any order, and where their rows are.

    Attributes:
        crystals: (n,) the crystals.
        offsets: (N + 1,) offsets of the rows of all N crystals; None if each has one row.
    """

    crystals: _Ints
    offsets: _Ints | None = None

    @functools.cached_property
    def rows(self) -> _Ints:
        """The rows of the crystals."""
        return self.crystals if self.offsets is None else segment_rows(self.offsets, self.crystals)

    @property
    def starts(self) -> _Ints:
        """(n,) first row of each crystal."""
        return self.crystals if self.offsets is None else self.offsets[self.crystals]

    def __len__(self) -> int:
        """Number of rows."""
        if self.offsets is None:
            return len(self.crystals)
        return int((self.offsets[self.crystals + 1] - self.starts).sum())

    def __getitem__(self, index: _Ints) -> Choice:
        """Some of these crystals."""
        return Choice(self.crystals[index], self.offsets)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of chosen crystals in an array.

    Attributes:
        array: the rows of all crystals.
        choice: the crystals.
    """

    array: _Array
    choice: Choice

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.choice)


class Values(Mapping[str, _Array]):
    """Arrays by name; rows of chosen crystals are copied when they are read for the first time.

    Args:
        parts: arrays, or chosen rows of arrays, by name.
    """

    def __init__(self, parts: Mapping[str, _Array | Chosen]) -> None:
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> _Array:
        """The array of this name."""
        part = self._parts[name]
        if isinstance(part, Chosen):
            part = self._parts[name] = part.array[part.choice.rows]
        return part

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self._parts)

    def __or__(self, other: Mapping[str, _Array]) -> Values:
        """These arrays and others."""
        return Values(self._parts | (other._parts if isinstance(other, Values) else dict(other)))

    def __reduce__(self) -> tuple[type[Values], tuple[dict[str, _Array]]]:
        """A pickle has the chosen rows alone."""
        return Values, (dict(self),)

    def part(self, name: str) -> _Array | Chosen:
        """An array as it is, without copying chosen rows."""
        return self._parts[name]

    def pop(self, name: str) -> _Array:
        """Take an array out."""
        array = self[name]
        del self._parts[name]
        return array
