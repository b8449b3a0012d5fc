"""Crystals: many crystal structures as a few flat arrays, the only in-memory form of structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pymatgen.core import Composition, Lattice, Structure

from crystalbench.data.compositions import Compositions
from crystalbench.data.elements import MAX_Z, SYMBOLS, atomic_number
from crystalbench.data.flat import as_index, digest_of, named, offsets_of, segment_rows
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError


@dataclass(frozen=True, eq=False)
class Crystals:
    """n fully ordered crystals, periodic in three directions.

    Oxidation states, charges and site properties are not kept. Coordinates are kept exactly as given; `wrapped`
    moves them into the cell.

    Attributes:
        lattices: (n, 3, 3) float64, rows are the lattice vectors a, b, c in Å.
        frac_coords: (atoms, 3) float64, fractional coordinates.
        numbers: (atoms,) uint8, atomic numbers.
        offsets: (n + 1,) int64, crystal i owns atoms ``offsets[i]:offsets[i + 1]``.
        ids: (n,) str.

    Example:
        >>> from pymatgen.core import Lattice, Structure
        >>> salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        >>> crystals = Crystals.from_pymatgen([salt], ids=["halite"])
        >>> len(crystals), crystals.atom_counts.tolist(), crystals.formulas()
        (1, [8], ['Na4 Cl4'])
    """

    lattices: npt.NDArray[np.float64]
    frac_coords: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]

    # ------------------------------------------------------------------ making

    @classmethod
    def from_flat(
        cls,
        lattices: npt.ArrayLike,
        frac_coords: npt.ArrayLike,
        numbers: npt.ArrayLike,
        counts: npt.ArrayLike,
        ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    ) -> Crystals:
        """Build from flat arrays and atom counts per crystal, checking everything.

        Raises:
            DataError: shapes disagree, a number is not finite, a cell has no volume or no atoms, an atomic number is
                outside 1 to 118; names the id.
        """
        counts = np.asarray(counts, dtype=np.int64).reshape(-1)
        n, atoms = len(counts), int(counts.sum())
        names = named(ids, n)
        lattices = np.asarray(lattices, dtype=np.float64).reshape(-1, 3, 3)
        frac_coords = np.asarray(frac_coords, dtype=np.float64).reshape(-1, 3)
        numbers = np.asarray(numbers).reshape(-1)
        if len(lattices) != n or len(frac_coords) != atoms or len(numbers) != atoms:
            raise DataError(
                f"{n} crystals of {atoms} atoms in all need as many lattices, coordinates and atomic numbers; "
                f"got {len(lattices)}, {len(frac_coords)} and {len(numbers)}"
            )
        owners = np.repeat(np.arange(n), counts)
        _refuse(names, counts == 0, "has no atoms")
        _refuse(names, ~np.isfinite(lattices).reshape(n, 9).all(1), "has a lattice that is not finite")
        _refuse(names, np.abs(np.linalg.det(lattices)) < 1e-6, "has a cell without volume")
        _refuse(names[owners], ~np.isfinite(frac_coords).all(1), "has a coordinate that is not finite")
        _refuse(names[owners], (numbers < 1) | (numbers > MAX_Z), f"has an atomic number outside 1 to {MAX_Z}")
        return cls(lattices, frac_coords, numbers.astype(np.uint8), offsets_of(counts), names)

    @classmethod
    def from_pymatgen(
        cls, structures: Iterable[Structure], ids: Sequence[str] | npt.NDArray[np.str_] | None = None
    ) -> Crystals:
        """Build from pymatgen structures.

        Raises:
            DataError: a site is disordered (partial or mixed occupancy); names the id and the site.
        """
        structures = list(structures)
        names = named(ids, len(structures))
        numbers: list[int] = []
        for name, structure in zip(names, structures, strict=True):
            for k, site in enumerate(structure):
                numbers.append(_only_element(name, k, [(sp.symbol, occ) for sp, occ in site.species.items()]))
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
        """Build from pymatgen's JSON form (`Structure.as_dict`) without making any `Structure`; much faster.

        Raises:
            DataError: a dictionary is not a structure, or a site is disordered; names the id (the row without ids).
        """
        lattices: list[Any] = []
        coords: list[Any] = []
        numbers: list[int] = []
        counts: list[int] = []
        for row, entry in enumerate(dicts):
            name = str(ids[row]) if ids is not None and row < len(ids) else f"row {row}"
            try:
                lattices.append(entry["lattice"]["matrix"])
                sites = entry["sites"]
                coords.extend(site["abc"] for site in sites)
                species = [[(s["element"], s["occu"]) for s in site["species"]] for site in sites]
            except (KeyError, TypeError) as error:
                raise DataError(f"{name}: is not a pymatgen structure in JSON form (missing {error})") from error
            counts.append(len(sites))
            numbers.extend(_only_element(name, k, occupants) for k, occupants in enumerate(species))
        return cls.from_flat(lattices, coords, numbers, counts, ids)

    def to_pymatgen(self) -> list[Structure]:
        """The crystals as pymatgen structures; the inverse of `from_pymatgen`, exactly."""
        return [self.structure(i) for i in range(len(self))]

    def structure(self, i: int) -> Structure:
        """Crystal i as a pymatgen structure."""
        atoms = slice(self.offsets[i], self.offsets[i + 1])
        species = [SYMBOLS[z] for z in self.numbers[atoms]]
        return Structure(Lattice(np.array(self.lattices[i])), species, np.array(self.frac_coords[atoms]))

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.offsets) - 1

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
        """(n,) atoms of each crystal."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """(atoms,) the crystal to which each atom belongs."""
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
        """SHA-256 of the content (lattices, coordinates, atomic numbers, offsets); ids are not part of it."""
        arrays = self.to_arrays()
        del arrays["ids"]
        return digest_of(arrays)

    def wrapped(self) -> Crystals:
        """The same crystals with fractional coordinates in [0, 1)."""
        coords = self.frac_coords - np.floor(self.frac_coords)
        coords[coords >= 1.0] = 0.0  # -1e-17 - floor(-1e-17) rounds to 1
        return Crystals(self.lattices, coords, self.numbers, self.offsets, self.ids)

    def compositions(self) -> Compositions:
        """The elements of each cell and how many atoms of each."""
        keys, amounts = np.unique(self.owners * (MAX_Z + 1) + self.numbers, return_counts=True)
        counts = np.bincount(keys // (MAX_Z + 1), minlength=len(self))
        numbers = (keys % (MAX_Z + 1)).astype(np.uint8)
        return Compositions(numbers, amounts.astype(np.float64), offsets_of(counts), self.ids)

    def formulas(self) -> list[str]:
        """Formula of each whole cell as pymatgen writes it, e.g. ``Na4 Cl4``."""
        cells = self.compositions()
        return [Composition(cells.amounts_of(i)).formula for i in range(len(self))]

    # ------------------------------------------------------------------ storing

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
        """Write a folder of arrays that `load` maps into memory."""
        save_arrays(Path(path), self.to_arrays(), {"format": "crystals", "version": 1, "digest": self.digest})

    @classmethod
    def load(cls, path: Path | str) -> Crystals:
        """Map a folder that `save` wrote; nothing is read before it is used.

        Raises:
            DataError: the folder is missing, damaged, or holds something else.
        """
        arrays, meta = load_arrays(Path(path))
        if meta.get("format") != "crystals":
            raise DataError(f"{path}: does not hold crystals but {meta.get('format')!r}")
        return cls.from_arrays(arrays)


def _only_element(name: str, site: int, occupants: Sequence[tuple[str, float]]) -> int:
    if len(occupants) != 1 or abs(occupants[0][1] - 1) > 1e-8:
        mixture = " ".join(f"{symbol}:{occupancy:g}" for symbol, occupancy in occupants)
        raise DataError(
            f"{name}: site {site} is disordered ({mixture}); CrystalBench compares ordered crystals, "
            "so order the structure (e.g. pymatgen's OrderDisorderedStructureTransformation) or leave it out"
        )
    symbol = occupants[0][0]
    try:
        return atomic_number(symbol)
    except ValueError as error:
        raise DataError(f"{name}: site {site} holds {symbol!r}, which is not an element") from error


def _refuse(names: npt.NDArray[np.str_], bad: Any, what: str) -> None:
    if bad.any():
        more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        raise DataError(f"{names[bad][0]}: {what}{more}")


Inputs: TypeAlias = Crystals | Compositions
"""What a task's rows are: crystals, or compositions where no structure is known."""

InputsT = TypeVar("InputsT", bound=Crystals | Compositions)


def joined(parts: Sequence[InputsT]) -> InputsT:
    """Crystals, or compositions, one after another."""
    arrays = [part.to_arrays() for part in parts]
    flat = {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0] if name != "offsets"}
    counts = np.concatenate([np.diff(a["offsets"]) for a in arrays])
    return cast(InputsT, type(parts[0]).from_arrays({**flat, "offsets": offsets_of(counts)}))
