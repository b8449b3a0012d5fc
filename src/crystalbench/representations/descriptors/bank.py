"""Banks of crystal descriptors: symmetry, neighbourhoods, radial order, density and lattice."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.representations.descriptors import cell, neighborhoods, radial, symmetry
from crystalbench.representations.descriptors.one_crystal import FunctionPart, Part, each_crystal
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation

log = logging.getLogger(__name__)

_CHUNK = 64  # crystals per chunk of work
_NAMED = 5  # ids in a warning

_GROUP = FunctionPart("space group", symmetry.GROUP_LABELS, symmetry.group)
_LOCAL: tuple[Part, ...] = (
    FunctionPart("structural heterogeneity", neighborhoods.HETEROGENEITY_LABELS, neighborhoods.heterogeneity),
    FunctionPart("sites", neighborhoods.SITE_LABELS, neighborhoods.sites),
    FunctionPart("density", cell.DENSITY_LABELS, cell.density),
    FunctionPart("packing fraction", cell.PACKING_LABELS, cell.packing),
)
GONG: tuple[Part, ...] = (
    _GROUP,
    FunctionPart("structural complexity", symmetry.COMPLEXITY_LABELS, symmetry.complexity),
    *_LOCAL,
    FunctionPart("lattice", cell.LATTICE_LABELS, cell.lattice),
)
GONG_WITHOUT_CELL: tuple[Part, ...] = (
    _GROUP,
    FunctionPart("structural complexity", symmetry.COMPLEXITY_LABELS[:1], symmetry.complexity_per_atom),
    *_LOCAL,
)
_BEYOND_GONG: tuple[Part, ...] = (
    FunctionPart("reduced lattice", symmetry.PRIMITIVE_LABELS, symmetry.niggli),
    FunctionPart("extremes of sites", neighborhoods.SITE_EXTREME_LABELS, neighborhoods.site_extremes),
    FunctionPart("Voronoi cells", neighborhoods.CELL_LABELS, neighborhoods.cells),
    FunctionPart("bond-orientational order", neighborhoods.ORIENTATION_LABELS, neighborhoods.orientation),
    FunctionPart("local differences", neighborhoods.DIFFERENCE_LABELS, neighborhoods.differences),
    FunctionPart("chemical ordering", neighborhoods.ORDERING_LABELS, neighborhoods.ordering),
    FunctionPart("contacts", radial.CONTACT_LABELS, radial.contacts),
    FunctionPart("radial distribution", radial.DISTRIBUTION_LABELS, radial.distribution),
    FunctionPart("radial fingerprints", radial.FINGERPRINT_LABELS, radial.fingerprints),
    FunctionPart("electron density", cell.ELECTRON_LABELS, cell.electrons),
)
RICH: tuple[Part, ...] = (
    *GONG,
    FunctionPart("symmetry of sites", symmetry.DETAIL_LABELS, symmetry.details),
    *_BEYOND_GONG[:-1],
    FunctionPart("sine Coulomb matrix", cell.COULOMB_LABELS, cell.sine_coulomb),
    *_BEYOND_GONG[-1:],
)
RICH_WITHOUT_CELL: tuple[Part, ...] = (
    *GONG_WITHOUT_CELL,
    FunctionPart("symmetry of sites", symmetry.DETAIL_WITHOUT_CELL_LABELS, symmetry.details_without_cell),
    *_BEYOND_GONG,
)
COUNT: tuple[Part, ...] = (FunctionPart("number of atoms", cell.COUNT_LABELS, cell.atom_count),)
COUNT_AND_VOLUME: tuple[Part, ...] = (*COUNT, FunctionPart("volume", cell.VOLUME_LABELS, cell.volume))
VOLUME_PER_ATOM: tuple[Part, ...] = (FunctionPart("volume per atom", cell.DENSITY_LABELS[1:], cell.volume_per_atom),)
GROUP_AND_VOLUME: tuple[Part, ...] = (
    _GROUP,
    FunctionPart("primitive cell", symmetry.VOLUME_LABELS, symmetry.primitive_volume),
)
BANKS: dict[str, tuple[Part, ...]] = {
    "gong28": GONG,
    "gong28_without_cell": GONG_WITHOUT_CELL,
    "rich": RICH,
    "rich_without_cell": RICH_WITHOUT_CELL,
    "atom_count": COUNT,
    "atom_count_volume": COUNT_AND_VOLUME,
    "volume_per_atom": VOLUME_PER_ATOM,
    "space_group_volume": GROUP_AND_VOLUME,
}
_COARSE = frozenset(("gong28", "gong28_without_cell", "space_group_volume"))
"""Banks whose space group is found within 0.1 Å by default."""
WITHOUT_CELL = frozenset(("gong28_without_cell", "rich_without_cell"))
"""Banks that do not depend on the cell; in them, atoms are equivalent by all operations of the crystal."""
WITH_COMPOSITION = frozenset(("rich", "rich_without_cell"))
"""Banks that also contain the composition features of `MagpieFeatures`."""


@dataclass(frozen=True)
class DescriptorBank(Representation):
    """Descriptors of crystals, with the names and values of matminer's.

    ``gong28`` contains the 28 descriptors with which S. Gong et al. (Sci. Adv. 9, eadi3245, 2023) test what graph
    networks learn about periodicity. ``rich`` contains these, further descriptors of symmetry, neighbourhoods and
    radial order, and the 146 composition features of `MagpieFeatures`; its first 28 columns are those of ``gong28``
    but for the default of ``symprec``. The others are controls: ``atom_count`` is only the number of atoms in the cell,
    to measure what a model gains from the size of the cell, and ``atom_count_volume`` this and the volume of the cell;
    ``gong28_without_cell`` has the 20 of the ``gong28`` that do not depend on the choice of the cell (without its
    lengths, angles, number of atoms, and complexity per cell), ``rich_without_cell`` the 381 of the ``rich`` (without
    the number of symmetry operations and the sine Coulomb matrix, too); ``volume_per_atom`` is that alone;
    ``space_group_volume`` is the space group, the crystal system and the volume of the primitive cell, for models that
    may know no more of a structure than these.

    The space group and its crystal system are found within ``symprec``. The descriptors published with ``gong28`` need
    0.1 Å, the tolerance of the Materials Project: with it, crystal systems agree in all but one of 1,511 crystals, with
    0.01 Å in 98 %.

    Descriptors that cannot be computed for a crystal are NaN, and a warning names the crystals and the reason. Rows are
    never dropped and values never guessed; imputation requires fitting and is left to models.

    All descriptors share one Voronoi tessellation per crystal. A face below a tolerance
    (`crystalbench.representations.descriptors.voronoi.FACE_TOLERANCE`) does not count as a neighbour, so values equal
    those of matminer's featurizers with ``VoronoiNN(tol=1e-5)``. With pymatgen's default, the number of neighbours in a
    crystal of high symmetry depends on round-off.

    Arrays: ``descriptors`` (n, d) float64, NaN where unknown; ``failed`` (n, parts) bool, by the names in `parts`.

    More than 64 crystals are computed in several processes if `represent` or the environment variable
    ``CRYSTALBENCH_PROCESSES`` allows them.

    Attributes:
        bank: ``gong28``, ``gong28_without_cell``, ``rich``, ``rich_without_cell``, ``atom_count``,
            ``atom_count_volume``, ``volume_per_atom`` or ``space_group_volume``.
        symprec: tolerance of the space group in Å; None for 0.1 in ``gong28``, ``gong28_without_cell`` and
            ``space_group_volume``, and 0.01 in the others.

    Example:
        >>> bank = DescriptorBank()
        >>> len(bank.labels), bank.labels[:2]
        (28, ['spacegroup_num', 'crystal_system_int'])
    """

    packages: ClassVar[tuple[str, ...]] = ("matminer", "pymatgen", "scipy", "spglib")

    bank: str = "gong28"
    symprec: float | None = None

    def __post_init__(self) -> None:
        if self.bank not in BANKS:
            raise UnknownNameError("bank of descriptors", self.bank, BANKS)
        if not 0 < self.tolerance < np.inf:
            raise ConfigError(f"symprec = {self.symprec}; it must be a positive distance in Å")

    @property
    def tolerance(self) -> float:
        """Tolerance of the space group in Å."""
        if self.symprec is not None:
            return self.symprec
        return symmetry.COARSE if self.bank in _COARSE else symmetry.FINE

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result, with the tolerance and the equivalence of atoms that are used."""
        recipe = super().recipe
        recipe |= {"options": recipe["options"] | {"symprec": self.tolerance}}
        return recipe | {"sites": "of the crystal"} if self.bank in WITHOUT_CELL else recipe

    @property
    def labels(self) -> list[str]:
        """Names of the descriptors; matminer's labels for those that it has."""
        structure = [label for part in BANKS[self.bank] for label in part.labels]
        return structure + (MagpieFeatures().labels if self.bank in WITH_COMPOSITION else [])

    @property
    def parts(self) -> list[str]:
        """Names of the groups of descriptors that fail together, in the order of ``failed``."""
        return [part.name for part in BANKS[self.bank]]

    def __call__(self, inputs: Inputs) -> Arrays:
        """The descriptors of n crystals.

        Raises:
            DataError: the rows are compositions.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a bank of descriptors needs crystal structures; these rows are compositions")
        values, failed, reasons = _join(self.bank, self.tolerance, inputs)
        warn_of_failures(inputs.ids, reasons)
        if self.bank in WITH_COMPOSITION:
            values = np.concatenate([values, MagpieFeatures()(inputs).values["features"]], axis=1)
        layouts = {"descriptors": Layout(CRYSTAL), "failed": Layout(CRYSTAL)}
        return Arrays({"descriptors": values, "failed": failed}, layouts, {}, len(inputs))


_Reason = tuple[int, str, str]  # row, part, why it failed
_Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], list[_Reason]]


def _join(bank: str, symprec: float, crystals: Crystals) -> _Rows:
    """Descriptors, failures and their reasons by row, computed in all allowed processes."""
    found = by_chunks(partial(_rows, bank, symprec), crystals, _CHUNK)
    starts = np.cumsum([0, *(len(part[0]) for part in found[:-1])]).tolist()
    reasons = [(start + r[0], r[1], r[2]) for start, part in zip(starts, found, strict=True) for r in part[2]]
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]), reasons


def _rows(bank: str, symprec: float, crystals: Crystals) -> _Rows:
    parts = BANKS[bank]
    values = np.full((len(crystals), sum(len(part.labels) for part in parts)), np.nan)
    failed = np.zeros((len(crystals), len(parts)), dtype=bool)
    reasons: list[_Reason] = []
    for row, crystal in enumerate(each_crystal(crystals, symprec)):
        column = 0
        for number, part in enumerate(parts):
            columns = slice(column, column := column + len(part.labels))
            try:
                found = np.asarray(part(crystal), dtype=np.float64)
                if not np.isfinite(found).all():
                    label = part.labels[int(np.argmin(np.isfinite(found)))]
                    raise DataError(f"{label} is not finite")
                values[row, columns] = found
            except (DataError, np.linalg.LinAlgError) as error:
                failed[row, number] = True
                reasons.append((row, part.name, str(error)))
    return values, failed, reasons


def warn_of_failures(ids: npt.NDArray[np.str_], reasons: Iterable[_Reason]) -> None:
    """Log one warning per reason, with the parts and ids concerned."""
    parts: dict[tuple[int, str], list[str]] = {}
    for row, part, why in reasons:
        parts.setdefault((row, why), []).append(part)
    rows: dict[tuple[str, str], list[int]] = {}
    for (row, why), names in parts.items():
        rows.setdefault((", ".join(names), why), []).append(row)
    for (names_of_parts, why), concerned in rows.items():
        named = ", ".join(str(ids[row]) for row in concerned[:_NAMED])
        more = f" and {len(concerned) - _NAMED} more" if len(concerned) > _NAMED else ""
        log.warning("%s%s: descriptors are missing: %s (%s)", named, more, names_of_parts, why)
