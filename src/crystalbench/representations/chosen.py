"""Chosen crystals of arrays: nothing is copied before it is asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, MutableMapping
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

    @property
    def nbytes(self) -> int:
        """Size of the rows in bytes."""
        return len(self) * math.prod(self.array.shape[1:]) * self.array.itemsize


class Values(MutableMapping[str, _Array]):
    """Arrays by name; rows of chosen crystals are copied when they are read for the first time.

    It is used like a dictionary. Replacing an array changes neither a representation nor other crystals chosen from it.

    Args:
        parts: arrays, or chosen rows of arrays, by name.
    """

    def __init__(self, parts: Mapping[str, _Array | Chosen]) -> None:
        self._parts: dict[str, _Array | Chosen] = dict(parts._parts if isinstance(parts, Values) else parts)

    def __getitem__(self, name: str) -> _Array:
        """The array of this name."""
        part = self._parts[name]
        if isinstance(part, Chosen):
            part = self._parts[name] = part.array[part.choice.rows]
        return part

    def __setitem__(self, name: str, array: _Array) -> None:
        """Add or replace an array."""
        self._parts[name] = array

    def __delitem__(self, name: str) -> None:
        """Remove an array."""
        del self._parts[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self._parts)

    def __repr__(self) -> str:
        """Names, types and shapes; copies nothing."""
        return f"Values({', '.join(f'{name}: {_shown(part)}' for name, part in self._parts.items())})"

    def __or__(self, other: Mapping[str, _Array]) -> Values:
        """These arrays and others."""
        return Values(self._parts | Values(other)._parts)

    def __ror__(self, other: Mapping[str, _Array]) -> Values:
        """Others and these arrays."""
        return Values(other) | self

    def copy(self) -> Values:
        """A copy of the mapping, which shares the arrays."""
        return Values(self)

    def __reduce__(self) -> tuple[type[Values], tuple[dict[str, _Array]]]:
        """A pickle has the chosen rows alone."""
        return Values, (dict(self),)

    def part(self, name: str) -> _Array | Chosen:
        """An array as it is, without copying chosen rows."""
        return self._parts[name]


def _shown(part: _Array | Chosen) -> str:
    array = part.array if isinstance(part, Chosen) else part
    return f"{array.dtype} {(len(part), *array.shape[1:])}"
