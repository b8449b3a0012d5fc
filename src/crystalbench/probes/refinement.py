"""Local expressive power: crystals that differ, and that no network of elements and distances can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from pymatgen.analysis.structure_matcher import StructureMatcher

from crystalbench.data.crystals import Crystals
from crystalbench.data.views import FULL
from crystalbench.errors import DataError
from crystalbench.evaluation.refinement import COLUMNS, refinement
from crystalbench.probes.choices import changed_protocol, ignored, with_structures
from crystalbench.probes.fitted import Fitted
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.sections import Section
from crystalbench.representations.descriptors.space_group import find_symmetry
from crystalbench.representations.descriptors.symmetry import COARSE
from crystalbench.representations.refinement import indistinguishable
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Selection, make_plan
from crystalbench.runs.suite import ProtocolEntry, Suite
from crystalbench.tasks import DataSources

NEIGHBOURS = (12, 24)
"""Numbers of nearest neighbours, the first as in CGCNN."""

TOLERANCE = 0.01
"""In Å; distances are rounded to multiples of it."""

_EXAMPLES = 5


class Refinement(Probe):
    """Pairs of different crystals whose graphs of nearest neighbours are the same to any network of distances.

    The question is to the crystals of a task, not to a model: the dummy is run, and models cannot be chosen.
    """

    name: ClassVar[str] = "refinement"
    description: ClassVar[str] = "which crystals of a task no network of elements and distances can tell apart"
    position: ClassVar[int] = 40
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"refinement": COLUMNS}
    takes_models: ClassVar[bool] = False

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """One run of the dummy on each task with structures; choices that have no effect are noted.

        Raises:
            ConfigError: no task has structures.
        """
        fields = ("models", "folds", "seeds", "views", "parameters")
        reason = "the question is about all crystals of a task, not about models"
        notes = ignored(selection, fields, reason, changed_protocol(suite.protocol))
        suite = suite.model_copy(update={"models": ("dummy",), "protocol": ProtocolEntry(), "tuning": None})
        selection = replace(selection, models=(), folds=(), seeds=(0,), views=(FULL,), parameters={})
        plan = with_structures(self.name, make_plan(suite, selection, sources, reading))
        firsts = {run.spec.task: run for run in reversed(plan.runs)}
        return Plan([firsts[task.name] for task in plan.tasks], plan.tasks, [*plan.notes, *notes])

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        """Refine the graphs of all crystals of the task, and compare those that have the same."""
        crystals = cast(Crystals, fitted.run.task.inputs)  # as planned
        rows = [counted(crystals, neighbours, TOLERANCE) for neighbours in NEIGHBOURS]
        return pd.DataFrame(rows)

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The table of counts."""
        return {"refinement": refinement(answers)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """The counts of each task, and examples."""
        sections = []
        for task, mine in tables["refinement"].groupby("task", sort=True):
            titles = ["neighbours", "tolerance (Å)", "pairs of different crystals", "of other space groups"]
            titles += ["crystals", "of"]
            names = ("neighbours", "tolerance", "pairs", "other_space_group", "crystals", "rows")
            cells = [[f"{row[name]:,}" for name in names] for row in mine.to_dict("records")]
            lines = [
                f"With {row['neighbours']} neighbours, the same to any network of elements and distances: "
                f"{row['examples']}."
                for row in mine.to_dict("records")
                if row["pairs"]
            ]
            sections.append(Section(f"{task}: crystals that distances cannot tell apart", titles, cells, lines))
        return sections


def counted(crystals: Crystals, neighbours: int, tolerance: float) -> dict[str, object]:
    """Counts of pairs of crystals that have the same graph, and of those that are different crystals.

    Crystals are different if pymatgen's `StructureMatcher` cannot map them onto each other without scaling. It maps
    mirror images, which no scalar property tells apart.

    Returns:
        Values by the names of `crystalbench.evaluation.refinement.COLUMNS`, without the facts of the task.
    """
    identical = pairs = other_group = 0
    involved: set[int] = set()
    examples: list[tuple[bool, str]] = []
    for rows in indistinguishable(crystals, neighbours, tolerance):
        kinds = _kinds(crystals, rows)
        sizes = np.bincount(kinds)
        identical += len(rows) * (len(rows) - 1) // 2
        same = int((sizes * (sizes - 1) // 2).sum())
        pairs += len(rows) * (len(rows) - 1) // 2 - same
        if len(sizes) > 1:
            involved.update(rows.tolist())
            groups = np.array([_space_group(crystals, row) for row in rows.tolist()])
            differ = (groups[:, None] != groups) & (kinds[:, None] != kinds)
            other_group += int(differ.sum()) // 2
            first, second = np.argwhere(differ if differ.any() else kinds[:, None] != kinds)[0]
            titles = [_title(crystals, int(rows[place]), int(groups[place])) for place in (first, second)]
            examples.append((not differ.any(), " and ".join(titles)))
    return {
        "neighbours": neighbours,
        "tolerance": tolerance,
        "pairs": pairs,
        "crystals": len(involved),
        "examples": "; ".join(text for _, text in sorted(examples)[:_EXAMPLES]),
        "identical": identical,
        "other_space_group": other_group,
    }


def _kinds(crystals: Crystals, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of the structure of each row, of those that differ."""
    matcher = StructureMatcher(scale=False, attempt_supercell=False)
    firsts: list[object] = []
    kinds = []
    for row in rows.tolist():
        structure = crystals.structure(row)
        same = next((number for number, first in enumerate(firsts) if matcher.fit(first, structure)), len(firsts))  # type: ignore[arg-type]
        if same == len(firsts):
            firsts.append(structure)
        kinds.append(same)
    return np.array(kinds, np.int64)


def _space_group(crystals: Crystals, row: int) -> int:
    """Number of the space group within 0.1 Å; 0 if it cannot be found."""
    one = crystals[[row]]
    try:
        return int(find_symmetry(one.lattices[0], one.frac_coords, one.numbers, COARSE).number)
    except DataError:
        return 0


def _title(crystals: Crystals, row: int, group: int) -> str:
    """Id, formula and space group of a crystal."""
    one = crystals[[row]]
    return f"{one.ids[0]} ({one.compositions().reduced_formulas()[0]}, space group {group})"
