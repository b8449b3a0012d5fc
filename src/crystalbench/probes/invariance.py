"""The audit of invariances: predictions of a fitted model for the same crystals, described in other ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.crystals import Crystals
from crystalbench.errors import CrystalBenchError, DataError
from crystalbench.evaluation.invariance import COLUMNS, invariance
from crystalbench.probes.choices import require_structures, with_structures
from crystalbench.probes.fitted import Fitted
from crystalbench.probes.probe import Probe, Reading
from crystalbench.probes.transforms import TRANSFORMS, Transform
from crystalbench.reports.invariance import invariance_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Selection
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources

_Floats = npt.NDArray[np.float64]


class Invariance(Probe):
    """How far predictions change with the order of the atoms, origin, orientation, cell, and small displacements."""

    name: ClassVar[str] = "invariance"
    description: ClassVar[str] = "how far predictions change with the description of a crystal, in units of the error"
    position: ClassVar[int] = 20
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"invariance": COLUMNS}

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The selected runs on tasks with structures.

        Raises:
            ConfigError: no task has structures.
        """
        require_structures(self.name, suite, selection)
        return with_structures(self.name, super().plan(suite, selection, sources, reading))

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        """Predict the test part of the run under all transformations.

        Raises:
            DataError: a transformed crystal cannot be predicted; names it.
        """
        crystals = cast(Crystals, fitted.test)  # as planned
        before = fitted.predict(crystals)
        return pd.concat([_asked(fitted, crystals, before, transform) for transform in TRANSFORMS], ignore_index=True)

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The table of drifts."""
        return {"invariance": invariance(answers)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """The drifts of each model, and the worst crystals."""
        return invariance_sections(tables["invariance"])


def _asked(fitted: Fitted, crystals: Crystals, before: _Floats, transform: Transform) -> pd.DataFrame:
    changed = transform.apply(crystals)
    try:
        after = fitted.predict(changed)
    except CrystalBenchError as problem:
        raise DataError(f"{transform.name}: {problem}") from problem
    kind, targets = fitted.run.task.target.kind, fitted.targets
    if kind is Kind.MULTICLASS:
        rows = np.arange(len(before))
        change = np.abs(after - before).sum(axis=1) / 2
        error = 1 - before[rows, targets.astype(np.intp)]
        chosen = before.argmax(axis=1)
        before, after = before[rows, chosen], after[rows, chosen]
    else:
        change, error = np.abs(after - before), np.abs(before - targets)
    per_atom = np.abs(after * crystals.atom_counts / changed.atom_counts - before)
    return pd.DataFrame(
        {
            "transform": transform.name,
            "expected": transform.expected,
            "id": crystals.ids.astype(object),
            "formula": np.array(crystals.compositions().reduced_formulas(), object),
            "before": before,
            "after": after,
            "change": change,
            "change_per_atom": per_atom,
            "error": error,
        }
    )
