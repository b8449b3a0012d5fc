"""Thermodynamic stability as a label: energy above the convex hull of the formation energies of a task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import MAX_Z
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.derived.labelling import Labelled, Labelling

if TYPE_CHECKING:
    from crystalbench.data.compositions import Compositions
    from crystalbench.tasks.spec import TaskSpec
    from crystalbench.tasks.task import Task

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AboveHull(Labelling):
    """Rows drawn at random; the class is whether their energy above the hull exceeds a threshold.

    The source's targets are formation energies in eV/atom. All of its rows make the hull, with the pure elements at
    zero. If rows are missing from the source, phases are missing from the hull, and energies above it are too low.

    Attributes:
        threshold: in eV/atom.
        rows: number of rows to label; fewer if the source has fewer.
        seed: seed of the draw.
    """

    slow: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("scipy",)

    threshold: float
    rows: int
    seed: int = 0

    def target(self, source: TaskSpec | Task) -> Target:
        """Whether a crystal is unstable by more than the threshold."""
        name = f"energy above hull > {self.threshold:g} eV/atom"
        return Target(name, Kind.BINARY, classes=("false", "true"))

    def __call__(self, task: Task) -> Labelled:
        """The drawn rows.

        Raises:
            DataError: the targets are no energies per atom.
        """
        if task.target.unit != "eV/atom":
            raise DataError(
                f"{task.name}: a hull is made of energies in eV/atom, not of targets in {task.target.unit!r}"
            )
        chosen = np.sort(self.shuffled(len(task), self.seed)[: self.rows])
        compositions = task.inputs.compositions() if isinstance(task.inputs, Crystals) else task.inputs
        energies = energies_above_hull(compositions, np.asarray(task.targets, np.float64), chosen)
        missing = f"the hull is made of {len(task):,} of {task.rows_total:,} rows: energies above it are lower bounds"
        remarks = (missing,) if task.is_partial else ()
        return Labelled(chosen, (energies > self.threshold).astype(np.float64), remarks)


def energies_above_hull(compositions: Compositions, energies: _Floats, rows: npt.NDArray[np.int64]) -> _Floats:
    """Energies of some rows above the convex hull of all rows and of the pure elements, which are at zero.

    The hull energy at a composition is that of the mixture of phases with the lowest energy, the solution of a linear
    program over the phases that contain no other elements. This equals pymatgen's `PhaseDiagram`, which builds the
    complete hull of a chemical system: 11 ms a row of matbench_mp_e_form on average and half a second with eight
    elements, where the linear program takes 3 ms.

    Args:
        compositions: n compositions.
        energies: (n,) formation energies in eV/atom.
        rows: (m,) the rows of interest.

    Returns:
        (m,) eV/atom, 0 for a row on the hull.

    Raises:
        DataError: the linear program of a row has no solution; names the id.
    """
    from scipy.optimize import linprog  # here, because the import is slow

    fractions = compositions.fractions
    phases = _phases_by_system(compositions, fractions, energies)
    found = np.empty(len(rows))
    for place, row in enumerate(rows.tolist()):
        span = slice(compositions.offsets[row], compositions.offsets[row + 1])
        columns, values = _mixed(phases, tuple(compositions.numbers[span].tolist()))
        solved = linprog(values, A_eq=columns.T, b_eq=fractions[span], bounds=(0, None), method="highs")
        if solved.status != 0:
            raise DataError(f"{compositions.ids[row]}: its energy above the hull cannot be found ({solved.message})")
        found[place] = max(0.0, energies[row] - solved.fun)
    return found


_Phases = dict[tuple[int, ...], dict[tuple[float, ...], float]]
"""Lowest energies in eV/atom by the elements of a phase and their fractions."""


def _phases_by_system(compositions: Compositions, fractions: _Floats, energies: _Floats) -> _Phases:
    phases: _Phases = {(z,): {(1.0,): 0.0} for z in range(1, MAX_Z + 1)}
    fractions = fractions.round(10)
    for row, energy in enumerate(energies.tolist()):
        span = slice(compositions.offsets[row], compositions.offsets[row + 1])
        system = phases.setdefault(tuple(compositions.numbers[span].tolist()), {})
        mixture = tuple(fractions[span].tolist())
        system[mixture] = min(system.get(mixture, np.inf), energy)
    return phases


def _mixed(phases: _Phases, elements: tuple[int, ...]) -> tuple[_Floats, _Floats]:
    """Fractions (p, elements) and energies (p,) of all phases that contain no other elements."""
    rows, values = [], []
    for part in _subsets(elements):
        places = [elements.index(z) for z in part]
        for mixture, energy in phases.get(part, {}).items():
            column = np.zeros(len(elements))
            column[places] = mixture
            rows.append(column)
            values.append(energy)
    return np.array(rows), np.array(values)


def _subsets(elements: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(elements, size) for size in range(1, len(elements) + 1))
