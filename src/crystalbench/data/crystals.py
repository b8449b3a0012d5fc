"""Crystals: many crystal structures in a few flat arrays, the only in-memory form of structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pymatgen.core import Lattice, Structure

from crystalbench.data.checks import bad_rows, checked_ids, id_range, refuse
from crystalbench.data.compositions import Compositions
from crystalbench.data.elements import MAX_Z, SYMBOLS
from crystalbench.data.flat import as_index, digest_of, offsets_of, segment_rows
from crystalbench.data.regular_structures import regular_structures
from crystalbench.data.sites import only_element, require_periodic
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.data.structure_json import StructureParts, parts_of
from crystalbench.errors import DataError

MAX_LENGTH = 1e5
"""Å; largest component of a lattice vector."""

MAX_COORDINATE = 1e4
"""Largest fractional coordinate, in cells; larger ones are no coordinates, and have lost digits."""


@dataclass(frozen=True, eq=False)
class Crystals:
    """n fully ordered crystals, periodic in three directions.

    Oxidation states, charges and site properties are discarded. Coordinates are stored exactly as given; `wrapped`
    moves them into the cell.

    Attributes:
        lattices: (n, 3, 3) float64, rows are the lattice vectors a, b, c in Å.
        frac_coords: (atoms, 3) float64, fractional coordinates.
        numbers: (atoms,) uint8, atomic numbers.
        offsets: (n + 1,) int64, the atoms of crystal i are ``offsets[i]:offsets[i + 1]``.
        ids: (n,) str.

    Examples:
        >>> from pymatgen.core import Lattice, Structure
        >>> salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        >>> crystals = Crystals.from_pymatgen([salt], ids=["halite"])
        >>> len(crystals), crystals.atom_counts.tolist(), crystals.formulas()
        (1, [8], ['Na4 Cl4'])
        >>> crystals
        <Crystals: 1 crystal, 8 atoms, 2 elements, ids 'halite' to 'halite'>
    """

    lattices: npt.NDArray[np.float64]
    frac_coords: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_flat(
        cls,
        lattices: npt.ArrayLike,
        frac_coords: npt.ArrayLike,
        numbers: npt.ArrayLike,
        counts: npt.ArrayLike,
        ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    ) -> Crystals:
        """Build from flat arrays, and check them.

        Args:
            lattices: (n, 3, 3) rows are the lattice vectors a, b, c in Å.
            frac_coords: (atoms, 3) fractional coordinates.
            numbers: (atoms,) atomic numbers.
            counts: (n,) number of atoms of each crystal.
            ids: (n,) ids; the row numbers by default.

        Raises:
            DataError: shapes disagree, a number is not finite or too large, a cell has no volume or no atoms, or an
                atomic number is not an integer from 1 to 118; names the ids.
        """
        counts = np.asarray(counts, dtype=np.int64).reshape(-1)
        n, atoms = len(counts), int(counts.sum())
        names = checked_ids(ids, n)
        lattices = np.asarray(lattices, dtype=np.float64).reshape(-1, 3, 3)
        frac_coords = np.asarray(frac_coords, dtype=np.float64).reshape(-1, 3)
        numbers = np.asarray(numbers).reshape(-1)
        if len(lattices) != n or len(frac_coords) != atoms or len(numbers) != atoms:
            raise DataError(
                f"{n} crystals with {atoms} atoms in total need {n} lattices, {atoms} coordinates and {atoms} atomic "
                f"numbers; got {len(lattices)}, {len(frac_coords)} and {len(numbers)}"
            )
        owners = np.repeat(np.arange(n), counts)

        def owning(bad_atoms: npt.ArrayLike) -> npt.NDArray[np.bool_]:
            return np.bincount(owners[np.asarray(bad_atoms)], minlength=n) > 0

        refuse(names, counts == 0, "has no atoms")
        refuse(names, ~np.isfinite(lattices).reshape(n, 9).all(1), "has a lattice that is not finite")
        longest = np.abs(lattices).max(axis=(1, 2), initial=0.0)
        refuse(names, longest > MAX_LENGTH, f"has a lattice vector longer than {MAX_LENGTH:g} Å")
        refuse(names, np.abs(np.linalg.det(lattices)) < 1e-6, "has a cell without volume")
        refuse(names, owning(~np.isfinite(frac_coords).all(1)), "has a coordinate that is not finite")
        far = np.abs(frac_coords).max(axis=1, initial=0.0) > MAX_COORDINATE
        refuse(names, owning(far), f"has a fractional coordinate beyond ±{MAX_COORDINATE:g}")
        if numbers.dtype.kind not in "iuf":
            raise DataError(f"atomic numbers must be integers, not of type {numbers.dtype}")
        refuse(names, owning(numbers != np.rint(numbers)), "has an atomic number that is not an integer")
        refuse(names, owning((numbers < 1) | (numbers > MAX_Z)), f"has an atomic number outside 1 to {MAX_Z}")
        return cls(lattices, frac_coords, numbers.astype(np.uint8), offsets_of(counts), names)

    @classmethod
    def from_pymatgen(
        cls, structures: Iterable[Structure], ids: Sequence[str] | npt.NDArray[np.str_] | None = None
    ) -> Crystals:
        """Build from pymatgen structures.

        Raises:
            DataError: a site is disordered (partial or mixed occupancy), or a structure is not periodic in all three
                directions; names the ids and the first site.
        """
        structures = list(structures)
        names = checked_ids(ids, len(structures))
        numbers: list[int] = []
        problems: list[tuple[str, str]] = []
        for name, structure in zip(names, structures, strict=True):
            try:
                require_periodic(structure.lattice.pbc)
                numbers += [
                    only_element(k, [(sp.symbol, occ) for sp, occ in site.species.items()])
                    for k, site in enumerate(structure)
                ]
            except ValueError as error:
                problems.append((str(name), str(error)))
        if problems:
            raise bad_rows(problems)
        return cls.from_flat(
            [s.lattice.matrix for s in structures],
            np.concatenate([s.frac_coords for s in structures]) if structures else np.zeros((0, 3)),
            numbers,
            [len(s) for s in structures],
            names,
        )

    @classmethod
    def from_dicts(
        cls, dicts: Iterable[Mapping[str, Any]], ids: Sequence[str] | npt.NDArray[np.str_] | None = None
    ) -> Crystals:
        """Build from pymatgen's JSON form (`Structure.as_dict`), without the cost of creating `Structure` objects.

        Raises:
            DataError: a dictionary is not a structure, its redundant entries contradict each other (``xyz`` and
                ``abc``, ``matrix`` and ``a``), a site is disordered, or the structure is not periodic in all three
                directions; names the ids, or the rows if there are no ids.
        """
        entries = list(dicts)
        if (regular := regular_structures(entries)) is not None:
            return cls.from_flat(*regular, ids)
        parts: list[StructureParts] = []
        problems: list[tuple[str, str]] = []
        for row, entry in enumerate(entries):
            try:
                parts.append(parts_of(entry, MAX_LENGTH))
            except ValueError as error:
                problems.append((str(ids[row]) if ids is not None and row < len(ids) else f"row {row}", str(error)))
        if problems:
            raise bad_rows(problems)
        return cls.from_flat(
            [part.lattice for part in parts],
            np.concatenate([part.frac_coords for part in parts]) if parts else np.zeros((0, 3)),
            [number for part in parts for number in part.numbers],
            [len(part.numbers) for part in parts],
            ids,
        )

    def to_pymatgen(self) -> list[Structure]:
        """Convert to pymatgen structures; the exact inverse of `from_pymatgen`."""
        return [self.structure(i) for i in range(len(self))]

    def structure(self, i: int) -> Structure:
        """Crystal i as a pymatgen structure."""
        atoms = slice(self.offsets[i], self.offsets[i + 1])
        species = [SYMBOLS[z] for z in self.numbers[atoms]]
        return Structure(Lattice(np.array(self.lattices[i])), species, np.array(self.frac_coords[atoms]))

    # ------------------------------------------------------------------ access

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        """One line: number of crystals, atoms and elements, first and last id."""
        n, elements = len(self), len(np.unique(self.numbers))
        crystals = f"{n:,} crystal{'s' * (n != 1)}"
        return f"<Crystals: {crystals}, {len(self.numbers):,} atoms, {elements} elements{id_range(self.ids)}>"

    def __getitem__(self, key: Any) -> Crystals:
        """The crystals at a slice, mask or index array, in that order."""
        index = as_index(key, len(self))
        rows = segment_rows(self.offsets, index)
        counts = self.atom_counts[index]
        return Crystals(
            self.lattices[index], self.frac_coords[rows], self.numbers[rows], offsets_of(counts), self.ids[index]
        )

    @property
    def atom_counts(self) -> npt.NDArray[np.int64]:
        """(n,) number of atoms of each crystal."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """(atoms,) index of the crystal that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.atom_counts)

    @property
    def volumes(self) -> npt.NDArray[np.float64]:
        """(n,) cell volumes in Å³."""
        return np.asarray(np.abs(np.linalg.det(self.lattices)))

    @property
    def cart_coords(self) -> npt.NDArray[np.float64]:
        """(atoms, 3) Cartesian coordinates in Å."""
        return np.asarray(np.einsum("ai,aij->aj", self.frac_coords, self.lattices[self.owners]))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content (lattices, coordinates, atomic numbers, offsets), without the ids."""
        arrays = self.to_arrays()
        del arrays["ids"]
        return digest_of(arrays)

    def wrapped(self) -> Crystals:
        """The same crystals with fractional coordinates in [0, 1)."""
        coords = self.frac_coords - np.floor(self.frac_coords)
        coords[coords >= 1.0] = 0.0  # -1e-17 - floor(-1e-17) rounds to 1
        return Crystals(self.lattices, coords, self.numbers, self.offsets, self.ids)

    def compositions(self) -> Compositions:
        """The composition of each cell."""
        keys, amounts = np.unique(self.owners * (MAX_Z + 1) + self.numbers, return_counts=True)
        counts = np.bincount(keys // (MAX_Z + 1), minlength=len(self))
        numbers = (keys % (MAX_Z + 1)).astype(np.uint8)
        return Compositions(numbers, amounts.astype(np.float64), offsets_of(counts), self.ids)

    def formulas(self) -> list[str]:
        """Formula of each cell, as pymatgen writes it, e.g. ``Na4 Cl4``."""
        return self.compositions().formulas()

    # ------------------------------------------------------------------ storage

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store."""
        return {
            "lattices": self.lattices,
            "frac_coords": self.frac_coords,
            "numbers": self.numbers,
            "offsets": self.offsets,
            "ids": self.ids,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Crystals:
        """Inverse of `to_arrays`."""
        return cls(arrays["lattices"], arrays["frac_coords"], arrays["numbers"], arrays["offsets"], arrays["ids"])

    def save(self, path: Path | str) -> None:
        """Write a folder of arrays that `load` memory-maps."""
        save_arrays(Path(path), self.to_arrays(), {"format": "crystals", "version": 1, "digest": self.digest})

    @classmethod
    def load(cls, path: Path | str) -> Crystals:
        """Memory-map a folder that `save` wrote; data is read when it is used.

        Raises:
            DataError: the folder is missing or damaged, or `save` did not write it.
        """
        arrays, meta = load_arrays(Path(path))
        if meta.get("format") != "crystals":
            raise DataError(f"{path}: contains {meta.get('format')!r}, not crystals")
        return cls.from_arrays(arrays)


Inputs: TypeAlias = Crystals | Compositions
"""The inputs of a task: crystals, or compositions if the structures are not known."""

InputsT = TypeVar("InputsT", bound=Crystals | Compositions)


def concatenate(parts: Sequence[InputsT]) -> InputsT:
    """Concatenate `Crystals` or `Compositions`, in the order of the parts.

    Args:
        parts: at least one, all of the same class.
    """
    arrays = [part.to_arrays() for part in parts]
    flat = {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0] if name != "offsets"}
    counts = np.concatenate([np.diff(a["offsets"]) for a in arrays])
    return cast(InputsT, type(parts[0]).from_arrays({**flat, "offsets": offsets_of(counts)}))
