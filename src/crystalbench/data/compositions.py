"""Compositions as flat arrays: the elements of materials and their amounts, without structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core import Composition

from crystalbench.data.checks import bad_rows, checked_ids, id_range
from crystalbench.data.elements import SYMBOLS
from crystalbench.data.flat import as_index, digest_of, offsets_of, segment_rows
from crystalbench.data.formulas import parse_formula


@dataclass(frozen=True, eq=False)
class Compositions:
    """n compositions, stored as one flat array of element amounts.

    Attributes:
        numbers: (m,) uint8, atomic numbers, in ascending order within a composition.
        amounts: (m,) float64, atoms per formula or per cell, not normalised.
        offsets: (n + 1,) int64, the entries of composition i are ``offsets[i]:offsets[i + 1]``.
        ids: (n,) str.

    Examples:
        >>> Compositions.from_formulas(["Ag(AuS)2", "Fe2O3"], ids=["a", "b"])
        <Compositions: 2 compositions, 5 elements, ids 'a' to 'b'>
    """

    numbers: npt.NDArray[np.uint8]
    amounts: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]

    @classmethod
    def from_formulas(
        cls, formulas: Sequence[str], ids: Sequence[str] | npt.NDArray[np.str_] | None = None
    ) -> Compositions:
        """Parse chemical formulas such as ``Ag(AuS)2``, ``Fe0.62Ni0.38`` or ``CuSO4·5H2O``.

        Raises:
            DataError: some formulas are empty or cannot be parsed; names the ids.
        """
        ids = checked_ids(ids, len(formulas))
        numbers: list[int] = []
        amounts: list[float] = []
        counts: list[int] = []
        problems: list[tuple[str, str]] = []
        for identifier, formula in zip(ids, formulas, strict=True):
            try:
                entries = parse_formula(formula)
            except ValueError as error:
                problems.append((str(identifier), f"{formula!r} is not a chemical formula ({error})"))
                continue
            numbers.extend(z for z, _ in entries)
            amounts.extend(amount for _, amount in entries)
            counts.append(len(entries))
        if problems:
            raise bad_rows(problems)
        return cls(np.array(numbers, np.uint8), np.array(amounts, np.float64), offsets_of(counts), ids)

    def __len__(self) -> int:
        """Number of compositions."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        """One line: number of compositions and elements, first and last id."""
        elements = len(np.unique(self.numbers))
        return f"<Compositions: {len(self):,} compositions, {elements} elements{id_range(self.ids)}>"

    def __getitem__(self, key: Any) -> Compositions:
        """The compositions at a slice, mask or index array, in that order."""
        index = as_index(key, len(self))
        rows = segment_rows(self.offsets, index)
        counts = np.diff(self.offsets)[index]
        return Compositions(self.numbers[rows], self.amounts[rows], offsets_of(counts), self.ids[index])

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """(m,) index of the composition that each entry belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def totals(self) -> npt.NDArray[np.float64]:
        """(n,) sum of the amounts of each composition; for crystals, the number of atoms in the cell."""
        return np.asarray(np.bincount(self.owners, self.amounts, minlength=len(self)), dtype=np.float64)

    @property
    def fractions(self) -> npt.NDArray[np.float64]:
        """(m,) atomic fractions: amounts divided by the total of their composition."""
        return self.amounts / self.totals[self.owners]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, without the ids."""
        return digest_of({"numbers": self.numbers, "amounts": self.amounts, "offsets": self.offsets})

    def formulas(self) -> list[str]:
        """Formula of each, as pymatgen writes it, e.g. ``Na4 Cl4``."""
        return [Composition(self.amounts_of(i)).formula for i in range(len(self))]

    def reduced_formulas(self) -> list[str]:
        """Reduced formula of each, e.g. ``Fe2O3``."""
        return [Composition(self.amounts_of(i)).reduced_formula for i in range(len(self))]

    def normalised_formulas(self, digits: int = 4) -> list[str]:
        """Elements with their atomic fractions, rounded: equal for ``Fe62Ni38``, ``Fe0.62Ni0.38`` and ``Fe31Ni19``.

        Args:
            digits: decimals of the fractions.
        """
        shares = [
            round(share, 10) for share in self.fractions.tolist()
        ]  # else, equal fractions could round differently
        return [
            " ".join(
                f"{SYMBOLS[self.numbers[k]]}{shares[k]:.{digits}f}" for k in range(self.offsets[i], self.offsets[i + 1])
            )
            for i in range(len(self))
        ]

    def chemical_systems(self) -> list[str]:
        """Chemical system of each: element symbols in alphabetical order, e.g. ``Fe-O``."""
        return ["-".join(sorted(SYMBOLS[z] for z in self._numbers_of(i))) for i in range(len(self))]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store."""
        return {"numbers": self.numbers, "amounts": self.amounts, "offsets": self.offsets, "ids": self.ids}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Compositions:
        """Inverse of `to_arrays`."""
        return cls(arrays["numbers"], arrays["amounts"], arrays["offsets"], arrays["ids"])

    def _numbers_of(self, i: int) -> npt.NDArray[np.uint8]:
        return self.numbers[self.offsets[i] : self.offsets[i + 1]]

    def amounts_of(self, i: int) -> dict[str, float]:
        """Element symbols and amounts of composition i."""
        amounts = self.amounts[self.offsets[i] : self.offsets[i + 1]]
        return {SYMBOLS[z]: float(a) for z, a in zip(self._numbers_of(i), amounts, strict=True)}
