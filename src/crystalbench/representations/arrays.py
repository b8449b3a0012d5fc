"""Arrays: the result of a representation for n crystals, as flat named arrays that can be cached and batched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.flat import as_index, offsets_of
from crystalbench.representations.chosen import Choice, Chosen, Values

CRYSTAL = "crystal"


@dataclass(frozen=True)
class Layout:
    """Layout of one array.

    Attributes:
        level: what one row belongs to: ``"crystal"`` (n rows), or a level with a varying number of rows per crystal,
            such as ``"atom"`` or ``"edge"``.
        points_to: for an array of indices, the level whose rows they count, from the crystal's own first row; None for
            an array of values.
    """

    level: str
    points_to: str | None = None


@dataclass(frozen=True, eq=False)
class Arrays:
    """Named flat arrays of n crystals.

    Indices count within a crystal, so selecting crystals is plain slicing, and a batch adds offsets. Arrays of selected
    crystals are copied one by one, when they are read for the first time.

    Attributes:
        values: arrays by name; the first axis of an array has the rows of its level.
        layouts: layouts by name.
        offsets: (n + 1,) offsets by level, for levels other than ``crystal``.
        length: number of crystals, n.

    Raises:
        ValueError: an array or offsets do not have the rows of their level.
    """

    values: Mapping[str, npt.NDArray[Any]]
    layouts: dict[str, Layout]
    offsets: dict[str, npt.NDArray[np.int64]]
    length: int

    def __post_init__(self) -> None:
        for level, offsets in self.offsets.items():
            if len(offsets) != self.length + 1:
                raise ValueError(f"level {level!r} has offsets for {len(offsets) - 1} crystals, not {self.length}")
        if not isinstance(self.values, Values):
            object.__setattr__(self, "values", Values(self.values))
        for name in self.values:
            part, level = self.part(name), self.layouts[name].level
            rows = self.length if level == CRYSTAL else int(self.offsets[level][-1])
            if len(part) != rows:
                raise ValueError(f"array {name!r} has {len(part)} rows; its level {level!r} has {rows}")

    @property
    def _values(self) -> Values:
        assert isinstance(self.values, Values)  # __post_init__ converts other mappings
        return self.values

    def part(self, name: str) -> npt.NDArray[Any] | Chosen:
        """An array, or which rows of which array were selected; nothing is copied."""
        return self._values.part(name)

    def __len__(self) -> int:
        """Number of crystals."""
        return self.length

    def __getitem__(self, key: Any) -> Arrays:
        """The selected crystals, in the order of the key."""
        index = as_index(key, self.length)
        offsets = {level: offsets_of(np.diff(o)[index]) for level, o in self.offsets.items()}
        choices = {CRYSTAL: Choice(index)} | {level: Choice(index, o) for level, o in self.offsets.items()}
        again: dict[int, Choice] = {}  # arrays of a level share their choice, and so the numbers of its rows
        parts: dict[str, npt.NDArray[Any] | Chosen] = {}
        for name in self.values:
            part = self.part(name)
            if isinstance(part, Chosen):
                before = part.choice
                choice = again.setdefault(id(before), before[index])
                parts[name] = Chosen(part.array, choice)
            else:
                parts[name] = Chosen(part, choices[self.layouts[name].level])
        return Arrays(Values(parts), self.layouts, offsets, len(index))

    def with_rows(self, **rows: npt.NDArray[Any]) -> Arrays:
        """These arrays and further ones with one row per crystal.

        Raises:
            ValueError: a name is taken, or an array does not have one row per crystal.
        """
        for name in rows:
            if name in self.values:
                raise ValueError(f"an array {name!r} exists already")
        layouts = self.layouts | {name: Layout(CRYSTAL) for name in rows}
        added = Arrays(rows, layouts, {}, self.length)
        return Arrays(self._values | added._values, layouts, self.offsets, self.length)

    def combined_with(self, other: Arrays) -> Arrays:
        """These arrays and those of another representation of the same crystals.

        Raises:
            ValueError: both have an array or a level of the same name, or the numbers of crystals differ.
        """
        if len(self) != len(other):
            raise ValueError(f"arrays of {len(self)} crystals cannot be combined with arrays of {len(other)} crystals")
        if both := (self.values.keys() & other.values.keys()) | (self.offsets.keys() & other.offsets.keys()):
            raise ValueError(f"both representations have {', '.join(sorted(both))}")
        return Arrays(
            self._values | other._values, self.layouts | other.layouts, self.offsets | other.offsets, self.length
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Arrays]) -> Arrays:
        """The crystals of several arrays of one representation, in order."""
        return cls.joined([Arrays(Values(p.values), p.layouts, p.offsets, p.length) for p in parts])

    @classmethod
    def joined(cls, parts: list[Arrays]) -> Arrays:
        """As `concatenated`, but the parts lose their arrays, so that few of them are in memory twice."""
        first = parts[0]
        values = {name: np.concatenate([part._values.pop(name) for part in parts]) for name in list(first.values)}
        counts = {level: np.concatenate([np.diff(part.offsets[level]) for part in parts]) for level in first.offsets}
        offsets = {level: offsets_of(count) for level, count in counts.items()}
        return cls(values, first.layouts, offsets, sum(map(len, parts)))

    @property
    def nbytes(self) -> int:
        """Size in bytes, that of chosen crystals included; copies nothing."""
        return sum(self.part(name).nbytes for name in self.values) + sum(a.nbytes for a in self.offsets.values())

    def to_storage(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and metadata to store; inverse of `from_storage`."""
        stored = {f"value.{name}": array for name, array in self.values.items()}
        stored |= {f"offsets.{level}": array for level, array in self.offsets.items()}
        layouts = {name: [layout.level, layout.points_to] for name, layout in self.layouts.items()}
        return stored, {"layouts": layouts, "length": self.length}

    @classmethod
    def from_storage(cls, stored: dict[str, npt.NDArray[Any]], meta: dict[str, Any]) -> Arrays:
        """Inverse of `to_storage`."""
        layouts = {name: Layout(*entry) for name, entry in meta["layouts"].items()}
        values = {name: stored[f"value.{name}"] for name in layouts}
        offsets = {key.removeprefix("offsets."): a for key, a in stored.items() if key.startswith("offsets.")}
        return cls(values, layouts, offsets, meta["length"])
