"""The prototypes of ordered alloys, and the distribution of metals over their sites.

Wyckoff positions and ideal axial ratios from the AFLOW library of crystallographic prototypes (M. J. Mehl et al.,
Comput. Mater. Sci. 136, S1 (2017); D. Hicks et al., ibid. 161, S1 (2019)). Free parameters start at their ideal values
for close-packed or bcc-derived structures; the potential relaxes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import sqrt
from typing import TYPE_CHECKING

from ase.spacegroup import crystal

from benchmarks.demo_data.emt import EMT_METALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms


@dataclass(frozen=True)
class Prototype:
    """A prototype: space group, axial ratios, and the role (A, B, C) of each Wyckoff position.

    Attributes:
        name: Strukturbericht designation, or the usual name if there is none.
        space_group: number, 1 to 230.
        sites: role, and fractional coordinates of a representative site in the conventional cell.
        n_atoms: atoms in the primitive cell.
        b_over_a: ratio of the conventional axes.
        c_over_a: ratio of the conventional axes.
        setting: 2 if the origin is the centre of symmetry, in a space group with two origins; otherwise 1.
        interchangeable: roles that a symmetry of the lattice swaps; only one order of their metals is used.
    """

    name: str
    space_group: int
    sites: tuple[tuple[str, tuple[float, float, float]], ...]
    n_atoms: int
    b_over_a: float = 1.0
    c_over_a: float = 1.0
    setting: int = 1
    interchangeable: str = ""

    def occupations(self) -> Iterator[dict[str, str]]:
        """Yield all distinct assignments of different metals to the roles, in a fixed order."""
        roles = sorted({role for role, _ in self.sites})
        for metals in permutations(range(len(EMT_METALS)), len(roles)):
            taken = dict(zip(roles, metals, strict=True))
            swapped = [taken[role] for role in self.interchangeable]
            if swapped == sorted(swapped):
                yield {role: EMT_METALS[metal] for role, metal in taken.items()}

    def primitive_cell(self, occupation: dict[str, str], atomic_volumes: dict[str, float]) -> Atoms:
        """Return the primitive cell; its volume is the sum of those of the pure metals in Å³/atom (Zen's law)."""
        angle = 120.0 if 143 <= self.space_group <= 194 else 90.0
        atoms = crystal(
            [occupation[role] for role, _ in self.sites],
            [position for _, position in self.sites],
            spacegroup=self.space_group,
            setting=self.setting,
            cellpar=[1.0, self.b_over_a, self.c_over_a, 90.0, 90.0, angle],
            primitive_cell=True,
            symprec=1e-4,
        )
        if len(atoms) != self.n_atoms:
            raise ValueError(f"{self.name}: {len(atoms)} atoms in the primitive cell instead of {self.n_atoms}.")
        volume = sum(atomic_volumes[symbol] for symbol in atoms.get_chemical_symbols())
        atoms.set_cell(atoms.cell * (volume / atoms.cell.volume) ** (1 / 3), scale_atoms=True)
        return atoms


def _p(name: str, space_group: int, sites: str, n_atoms: int, **more: float | str) -> Prototype:
    """Read sites written as ``role x y z; role x y z``, with fractions."""
    words = (site.split() for site in sites.split(";"))
    read = tuple((role, (_number(x), _number(y), _number(z))) for role, x, y, z in words)
    return Prototype(name, space_group, read, n_atoms, **more)  # type: ignore[arg-type]


def _number(text: str) -> float:
    numerator, _, denominator = text.partition("/")
    return float(numerator) / float(denominator or 1)


_HCP = sqrt(8 / 3)  # c/a of two close-packed layers

ELEMENTS = (
    _p("A1", 225, "A 0 0 0", 1),
    _p("A2", 229, "A 0 0 0", 1),
    _p("A3", 194, "A 1/3 2/3 1/4", 2, c_over_a=_HCP),
    _p("A3'", 194, "A 0 0 0; A 1/3 2/3 1/4", 4, c_over_a=2 * _HCP),
    _p("C19", 166, "A 0 0 0; A 0 0 2/9", 3, c_over_a=4.5 * _HCP),
    _p("A15", 223, "A 0 0 0; A 1/4 0 1/2", 8),
    _p("omega", 191, "A 0 0 0; A 1/3 2/3 1/2", 3, c_over_a=sqrt(3 / 8)),
    _p("A_h", 221, "A 0 0 0", 1),
)
"""Structures of the elements; the first three are the references of the formation energy."""

BINARIES = (
    _p("B2", 221, "A 0 0 0; B 1/2 1/2 1/2", 2, interchangeable="AB"),
    _p("L1_0", 123, "A 0 0 0; B 1/2 1/2 1/2", 2, c_over_a=sqrt(2), interchangeable="AB"),
    _p("L1_1", 166, "A 0 0 0; B 0 0 1/2", 2, c_over_a=3 * _HCP, interchangeable="AB"),
    _p("B_h", 187, "A 0 0 0; B 1/3 2/3 1/2", 2, c_over_a=_HCP, interchangeable="AB"),
    _p("B32", 227, "A 1/8 1/8 1/8; B 3/8 3/8 3/8", 4, setting=2, interchangeable="AB"),
    _p("B19", 51, "A 1/4 0 5/6; B 1/4 1/2 1/3", 4, b_over_a=1 / _HCP, c_over_a=sqrt(3) / _HCP, interchangeable="AB"),
    _p("40", 141, "A 0 3/4 1/8; B 0 1/4 3/8", 4, c_over_a=2, setting=2, interchangeable="AB"),
    _p("Z2", 129, "A 1/4 1/4 1/8; B 1/4 1/4 5/8", 4, c_over_a=2 * sqrt(2), setting=2, interchangeable="AB"),
    _p("C11_b", 139, "A 0 0 1/3; B 0 0 0", 3, c_over_a=3),
    _p("MoPt2", 71, "A 0 1/3 0; B 0 0 0", 3, b_over_a=3, c_over_a=sqrt(2)),
    _p("C15", 227, "A 1/2 1/2 1/2; B 1/8 1/8 1/8", 6, setting=2),
    _p("C14", 194, "A 0 0 0; A 5/6 2/3 1/4; B 1/3 2/3 1/16", 12, c_over_a=_HCP),
    _p("L1_2", 221, "A 0 1/2 1/2; B 0 0 0", 4),
    _p("D0_22", 139, "A 0 0 1/2; A 0 1/2 1/4; B 0 0 0", 4, c_over_a=2),
    _p("D0_3", 225, "A 1/4 1/4 1/4; A 1/2 1/2 1/2; B 0 0 0", 4),
    _p("D0_19", 194, "A 5/6 2/3 1/4; B 1/3 2/3 1/4", 8, c_over_a=_HCP / 2),
    _p(
        "D0_a",
        59,
        "A 1/4 3/4 1/3; A 1/2 1/4 1/6; B 1/4 1/4 2/3",
        8,
        b_over_a=_HCP / 2,
        c_over_a=sqrt(3) / 2,
        setting=2,
    ),
    _p("D0_23", 139, "A 0 1/2 0; A 0 1/2 1/4; A 0 0 3/8; B 0 0 1/8", 8, c_over_a=4),
    _p("D0_24", 194, "A 1/2 0 0; A 1/6 1/3 1/4; B 0 0 0; B 1/3 2/3 3/4", 16, c_over_a=_HCP),
    _p("A15", 223, "A 1/4 0 1/2; B 0 0 0", 8),
    _p("D1_a", 87, "A 1/5 2/5 0; B 0 0 0", 5, c_over_a=sqrt(2 / 5)),
    _p("D2_d", 191, "A 1/3 2/3 0; A 1/2 0 1/2; B 0 0 0", 6, c_over_a=0.8),
    _p("Pt8Ti", 139, "A 1/3 1/3 0; A 1/3 0 0; B 0 0 0", 9, c_over_a=sqrt(2) / 3),
)
"""Ordered binary alloys from AB to A8B; A is the majority."""

TERNARIES = (
    _p("C1_b", 216, "A 0 0 0; B 1/2 1/2 1/2; C 1/4 1/4 1/4", 3, interchangeable="AB"),
    _p("L2_1", 225, "A 1/4 1/4 1/4; B 0 0 0; C 1/2 1/2 1/2", 4, interchangeable="BC"),
    _p("XA", 216, "A 0 0 0; A 1/4 1/4 1/4; B 1/2 1/2 1/2; C 3/4 3/4 3/4", 4, interchangeable="BC"),
)
"""Half-Heusler, Heusler and inverse Heusler alloys."""
