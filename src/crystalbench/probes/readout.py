"""How much of a gain by descriptors is the size of the cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError
from crystalbench.evaluation.counterparts import DUMMY
from crystalbench.evaluation.readout import ALL, COLUMNS, ENDS, HYBRID, NETWORK, NONE, PER_ATOM_END, readout
from crystalbench.probes.choices import informative
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.readout import readout_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, resolve_tasks


class Readout(Probe):
    """The controls of the descriptors of Gong et al.: ``crystalbench probe readout --suite readout``."""

    name: ClassVar[str] = "readout"
    description: ClassVar[str] = "how much of a gain by descriptors is the number of atoms (--suite readout)"
    position: ClassVar[int] = 50
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"readout": COLUMNS}
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.REGRESSION})
    suite: ClassVar[str] = "readout"

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The selected runs that the table is made of; per atom, only those with all descriptors or none.

        Raises:
            ConfigError: no task is per cell or per atom, or no run counts.
        """
        names = [spec.name for spec in resolve_tasks(selection.tasks or suite.tasks)]
        if not any(name.endswith(ENDS) for name in names):
            raise ConfigError(
                f"probe readout: compares properties per cell with those per atom, which names of tasks end in "
                f"({' or '.join(ENDS)}), and these do not: {', '.join(names)}; choose other tasks with --task, or "
                "--suite readout"
            )
        plan = super().plan(suite, selection, sources, reading)
        plan = informative(self.name, plan, why_not, f"choose {NETWORK} and {HYBRID}, or --suite readout")
        if not any(_is_plain(run) for run in plan.runs):
            note = f"the tables need {NETWORK} with the mean readout, which is not among the models"
            return Plan(plan.runs, plan.tasks, [*plan.notes, note])
        return plan

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Errors of the variants, and the reductions by each."""
        return {"readout": readout(results.scores)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """A table for each target, with the verdict."""
        return readout_sections(tables["readout"])


def why_not(run: Run) -> tuple[str, str] | None:
    """Why a run says nothing here, and what is left out with it; None to run it."""
    parameters, task = run.spec.parameters, run.spec.task
    if not task.endswith(ENDS):
        return f"the name of the task does not end in {' or '.join(ENDS)}", task
    if run.spec.model not in (NETWORK, HYBRID, DUMMY):
        return f"the variants compared are those of {NETWORK} and {HYBRID}", run.label
    if run.view.name != FULL:
        return "variants are compared on the full crystals", f"view {run.spec.view}"
    if run.spec.train_fraction is not None:
        return "variants are compared on the complete training part", f"share {run.spec.train_fraction:g}"
    plain = parameters.get("readout", "mean") == "mean" and parameters.get("bank", NONE) in (NONE, ALL)
    if not plain and task.endswith(PER_ATOM_END):
        return "per atom, where cells of any size are alike, these variants say nothing", run.label
    return None


def _is_plain(run: Run) -> bool:
    return run.spec.model == NETWORK and run.spec.parameters["readout"] == "mean"
