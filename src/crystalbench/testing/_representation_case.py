"""A representation under test, and the crystals that it is applied to."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import CrystalBenchError
from crystalbench.representations import Arrays, Representation
from crystalbench.testing.crystals import known_structures, random_crystals
from crystalbench.testing.report import CheckFailure, Memo

COMMON_Z = 42
"""Largest common atomic number. Tables of properties may lack heavier elements, which are tested as edge cases."""
_RELATIVE = 1e-5
"""Largest tolerated difference, relative to the largest value of an array: sums may be rounded differently."""


@dataclass
class RepresentationCase:
    """A representation, and the arrays that its checks share."""

    representation: Representation
    _memo: Memo = field(default_factory=Memo)

    def expected(self) -> Arrays:
        """The arrays of `common_crystals`."""
        return self._memo.get("expected", lambda: self.representation(common_crystals()))

    @property
    def may_be_nan(self) -> bool:
        """Whether the docstring mentions NaN."""
        return "NaN" in (inspect.getdoc(type(self.representation)) or "")

    def with_other_options(self) -> Iterator[tuple[str, Representation]]:
        """This representation with one option changed at a time, for options that accept another value."""
        for option in dataclasses.fields(self.representation):
            for value in _other_values(getattr(self.representation, option.name)):
                try:
                    yield option.name, dataclasses.replace(self.representation, **{option.name: value})
                except (CrystalBenchError, ValueError, TypeError):
                    continue
                break


@lru_cache(maxsize=1)
def common_crystals() -> Crystals:
    """Random crystals in cells of every crystal system, and known structures with their symmetry; common elements."""
    return concatenate([random_crystals(3, 7, largest_z=COMMON_Z), known_structures()])


def require_equal(one: Arrays, other: Arrays, what: str, *, exactly: bool = False) -> None:
    """Compare arrays of the same crystals.

    Args:
        one: arrays.
        other: arrays.
        what: how the second were made, for the message.
        exactly: whether floats must be identical.

    Raises:
        CheckFailure: they differ in names, layouts, types, shapes or values.
    """
    if len(one) != len(other) or one.layouts != other.layouts or set(one.offsets) != set(other.offsets):
        raise CheckFailure(f"{what}, the arrays have different names or layouts")
    pairs = {name: (array, other.values[name]) for name, array in one.values.items()}
    pairs |= {f"offsets of {level}": (offsets, other.offsets[level]) for level, offsets in one.offsets.items()}
    for name, (a, b) in pairs.items():
        if a.dtype != b.dtype or a.shape != b.shape:
            raise CheckFailure(f"{what}, {name!r} is {a.dtype} {a.shape} or {b.dtype} {b.shape}")
        if not _equal(a, b, exactly):
            raise CheckFailure(f"{what}, the values of {name!r} differ")


def _equal(a: npt.NDArray[Any], b: npt.NDArray[Any], exactly: bool) -> bool:
    if exactly or a.dtype.kind != "f":
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return np.allclose(a, b, rtol=_RELATIVE, atol=_RELATIVE * float(size), equal_nan=True)


def _other_values(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value + 2, value - 2)
    elif isinstance(value, float):
        yield from (value * 1.5, value / 1.5)
