"""PotentialDescriptors: what a potential says about crystals, as columns."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.views.rows import OneCrystal
from crystalbench.data.views.symmetry import primitive_cell
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.descriptors.bank import warn_of_failures
from crystalbench.representations.potentials.parts import PARTS
from crystalbench.representations.potentials.potential import get_potential
from crystalbench.representations.potentials.resuming import discard, folder_of, resumed
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation

log = logging.getLogger(__name__)

_CHUNK = 8  # crystals that are computed, and stored, together
_DECIMALS = 5  # in single precision, what vanishes by symmetry does so to 1e-6

_Rows = tuple[npt.NDArray[np.float64], list[tuple[int, str]]]


@dataclass(frozen=True)
class PotentialDescriptors(Representation):
    """Columns that are computed with an interatomic potential, such as a pretrained one.

    The primitive cell of each crystal is evaluated, so columns depend neither on the choice of the cell nor on its
    orientation, up to the errors of finite differences in single precision. Parts:

    * ``cell``: energy per atom, stress and forces of the crystal as it is;
    * ``harmonic``: frequencies at Γ and stiffness of sites, from displacements of 0.03 Å; elastic moduli with fixed and
      with relaxed atoms, from strains of 0.5 %. Primitive cells of at most 64 atoms;
    * ``zone``: the same of the modes of a 2 × 2 × 2 supercell, which are those at Γ and in the middles of the
      boundaries of the Brillouin zone, and the last peak of their density. Primitive cells of at most 12 atoms;
    * ``layers``: binding between the layers of a layered crystal, as it is and in stacks of one layer;
    * ``features``: means and standard deviations of the atoms' learned features.

    A part that cannot be computed for a crystal is NaN in that row, and a warning names the crystals and the reason:
    an element is unknown to the potential, or the cell is too large. NaN without a warning is what a crystal does not
    have: optical frequencies, with one atom in the primitive cell, or layers.

    Chunks of 8 crystals are computed in several processes if `represent` or the environment variable
    ``CRYSTALBENCH_PROCESSES`` allows them. Each is stored in the cache folder until all are computed, so that an
    interrupted computation goes on where it ended.

    Arrays: ``descriptors`` (n, d) float64, NaN where unknown; ``failed`` (n, 1) bool.

    Attributes:
        potential: registered name or place of a potential.
        part: ``cell``, ``harmonic``, ``zone``, ``layers`` or ``features``.

    Example:
        >>> PotentialDescriptors("chgnet", "cell").labels[:2]
        ['chgnet cell: energy per atom', 'chgnet cell: pressure']
    """

    potential: str = "chgnet"
    part: str = "harmonic"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise UnknownNameError("part", self.part, PARTS)

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result: the potential with its version, and the part."""
        return super().recipe | {"potential": get_potential(self.potential).recipe}

    @property
    def labels(self) -> list[str]:
        """Names of the columns."""
        name = self.potential.rpartition(":")[2]
        return [f"{name} {self.part}: {label}" for label in PARTS[self.part].labels(get_potential(self.potential))]

    def __call__(self, inputs: Inputs) -> Arrays:
        """The columns of n crystals.

        Raises:
            DataError: the rows are compositions.
            ConfigError: the potential is not installed.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a potential needs crystal structures; these rows are compositions")
        columns = len(self.labels)  # also an error, once, if the potential is not installed
        folder = folder_of(self.key, inputs)
        found = by_chunks(partial(_stored_rows, self, columns, folder), inputs, _CHUNK)
        starts = np.cumsum([0, *(len(values) for values, _ in found[:-1])]).tolist()
        reasons = [
            (start + row, self.part, why) for start, part in zip(starts, found, strict=True) for row, why in part[1]
        ]
        warn_of_failures(inputs.ids, reasons)
        failed = np.zeros((len(inputs), 1), dtype=bool)
        failed[[row for row, _, _ in reasons]] = True
        values = np.concatenate([values for values, _ in found])
        discard(folder)
        layouts = {"descriptors": Layout(CRYSTAL), "failed": Layout(CRYSTAL)}
        return Arrays({"descriptors": values, "failed": failed}, layouts, {}, len(inputs))


def _stored_rows(representation: PotentialDescriptors, columns: int, folder: Path, crystals: Crystals) -> _Rows:
    """The columns of crystals and the reasons of failures, chunk by chunk, each read if it was stored before."""
    values, reasons = np.full((len(crystals), columns), np.nan), []
    for start in range(0, len(crystals), _CHUNK):
        chunk = crystals[start : start + _CHUNK]
        rows, failures = resumed(folder, chunk, partial(_rows, representation, columns))
        values[start : start + len(chunk)] = rows
        reasons += [(start + row, why) for row, why in failures]
    return values, reasons


def _rows(representation: PotentialDescriptors, columns: int, crystals: Crystals) -> _Rows:
    potential, part = get_potential(representation.potential), PARTS[representation.part]
    values, reasons = np.full((len(crystals), columns), np.nan), []
    for row in range(len(crystals)):
        atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
        cell = OneCrystal(crystals.lattices[row], crystals.frac_coords[atoms], crystals.numbers[atoms], _NAME)
        try:
            found = part.compute(potential, primitive_cell(cell))
            if np.isinf(found).any():
                raise DataError("a column is infinite")
            values[row] = found.round(_DECIMALS)
        except (DataError, np.linalg.LinAlgError) as error:
            reasons.append((row, str(error).removeprefix(f"{_NAME}: ")))
    return values, reasons


_NAME = "crystal"  # stored reasons must not contain ids, which may differ when they are read
