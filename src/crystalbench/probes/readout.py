"""How much of a gain by descriptors is the size of the cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd

from crystalbench.evaluation.readout import ALL, COLUMNS, NONE, readout
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.readout import readout_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection
from crystalbench.runs.suite import Suite
from crystalbench.tasks import DataSources


class Readout(Probe):
    """The controls of the descriptors of Gong et al.: ``crystalbench probe readout --suite readout``."""

    name: ClassVar[str] = "readout"
    description: ClassVar[str] = "how much of a gain by descriptors is the number of atoms (--suite readout)"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"readout": COLUMNS}
    suite: ClassVar[str] = "readout"

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The selected runs; per atom, where cells of any size are alike, only those with all descriptors or none."""
        plan = super().plan(suite, selection, sources, reading)
        return Plan([run for run in plan.runs if _informative(run)], plan.tasks, plan.notes)

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Errors of the variants, and the reductions by each."""
        return {"readout": readout(results.scores)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """A table for each target, with the verdict."""
        return readout_sections(tables["readout"])


def _informative(run: Run) -> bool:
    parameters = run.spec.parameters
    plain = parameters.get("readout", "mean") == "mean" and parameters.get("bank", NONE) in (NONE, ALL)
    return plain or not run.spec.task.endswith("_per_atom")
