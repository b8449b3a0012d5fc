"""A probe under test, with a quick model on a small task; the checks share its runs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError
from crystalbench.models.model import Model, Needs, Sees
from crystalbench.probes import Fitted, Probe
from crystalbench.results.answers import AnswerStore
from crystalbench.results.loading import Results
from crystalbench.runs.execute import compute
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.resources import Resources
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources
from crystalbench.testing.report import CheckFailure, Memo

TASKS = {Kind.REGRESSION: "demo_bulk_modulus", Kind.BINARY: "demo_dynamically_stable"}
"""A task of each kind of target, the first of which a probe takes."""
ROWS = 60


@dataclass
class VolumeLine(Model):
    """A straight line through the volumes per atom; for a class, cut off at 0 and 1.

    Attributes:
        slope: factor of the fitted slope; other values make other models.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    kinds: ClassVar[frozenset[Kind]] = frozenset(TASKS)
    sees: ClassVar[Sees] = Sees.STRUCTURE
    slope: float = 1.0

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Least squares."""
        self.target = train.target
        x, y = _volumes(train), train.targets
        spread = float(x.var())
        self._slope = float(np.mean((x - x.mean()) * y)) / spread if spread > 1e-9 else 0.0
        self._offset = float(y.mean() - self._slope * x.mean())
        return self

    def predict(self, samples: Samples) -> Predictions:
        """Values on the line."""
        values = self.slope * self._slope * _volumes(samples) + self._offset
        return Predictions(values if self.target.kind is Kind.REGRESSION else np.clip(values, 0, 1))


def _volumes(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(samples.crystals.volumes / samples.crystals.atom_counts)


@dataclass
class ProbeCase:
    """A probe, and what its checks share.

    Attributes:
        probe: the probe.
    """

    probe: Probe
    memo: Memo = field(default_factory=Memo)

    def plan(self) -> Plan:
        """Its plan for a quick model on two folds of a small task.

        A probe with a suite of its own may refuse this model or task; they are then run nevertheless.
        """
        model = f"{__name__}:{VolumeLine.__name__}"
        task = next((name for kind, name in TASKS.items() if kind in self.probe.kinds), None)
        if task is None:
            raise CheckFailure(f"kinds must contain {' or '.join(TASKS)}")
        suite = Suite(name="check", tasks=(task,), models=(model,))
        sources = DataSources(limit=ROWS, download=False)
        selection = Selection(models=(model,), folds=(0, 1))
        try:
            return self.probe.plan(suite, selection, sources)
        except ConfigError:
            if not self.probe.suite:
                raise
            return make_plan(suite, selection, sources)

    def planned(self) -> Plan:
        """The plan, made once."""
        return self.memo.get("plan", self.plan)

    def fitted(self) -> list[tuple[Fitted, Results]]:
        """The fitted models of all planned runs, and the result of each."""
        return self.memo.get("fitted", lambda: [_computed(run) for run in self.planned().runs])

    def answers(self, *, again: bool = False) -> pd.DataFrame:
        """What models answer and tasks are described by, as it is written and read; an empty frame if there is none."""
        return self._asked() if again else self.memo.get("answers", self._asked)

    @property
    def asks_models(self) -> bool:
        """Whether the models of any planned run are asked."""
        return any(self.probe.asks_models_of(run) for run in self.planned().runs)

    def results(self) -> Results:
        """The results of all planned runs."""
        return self.memo.get("results", lambda: Results([r for _, found in self.fitted() for r in found.records]))

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the probe."""
        return self.memo.get("tables", lambda: self.probe.evaluate(self.results(), self.answers().copy()))

    def _asked(self) -> pd.DataFrame:
        if not (self.probe.asks or self.probe.describes):
            return pd.DataFrame()
        with tempfile.TemporaryDirectory() as folder:
            store = AnswerStore(Path(folder))
            for fitted, found in self.fitted():
                if self.probe.asks_models_of(fitted.run):
                    store.write(found.records[0], self.probe.ask(fitted))
            for task in self.planned().tasks if self.probe.describes else ():
                store.write_task(task.name, task.digest, self.probe.describe(task))
            return store.read_all()


def _computed(run: Run) -> tuple[Fitted, Results]:
    computed = compute(run.spec, run.label, run.model, run.task, Resources())
    return Fitted(run, computed.models), Results([computed.record])
