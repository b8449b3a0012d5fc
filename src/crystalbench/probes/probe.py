"""The interface of probes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import pandas as pd

from crystalbench.models.model import Progress
from crystalbench.probes.fitted import Fitted
from crystalbench.reports.formatting import MISSING
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Task, TaskSpec

Reading = Callable[[TaskSpec], Progress]
"""Called with each task that is going to be read; returns a callback for the progress."""


class Probe(ABC):
    """A question to models: a plan of runs, perhaps questions to the fitted models of these runs, and an evaluation.

    A subclass sets `name`, `description` and `tables`, and implements `evaluate`. It overrides `plan` if it needs other
    runs than those selected, `ask` if the answer is not in the records of the runs, `describe` if the evaluation needs
    more of the data than the records have, and `report` to say in words what the tables show. It has no parameters:
    what may be chosen are tasks, models with their hyperparameters, views, folds and seeds.

    `crystalbench.testing.check_probe` checks that a class keeps the contract of probes.

    Attributes:
        name: name on the command line and of the folder of its answers: letters, digits and ``_``.
        description: what it finds out, in one line.
        tables: for each table, its name, which is also that of its CSV file in the folder of results, and its columns.
            New columns are added at the end.
        kinds: kinds of targets that it can evaluate; by default, all.
        version: increase it when `ask` or `describe` would answer differently; they are then asked again.
        suite: name of the suite that it evaluates, if its tables are made of certain models or tasks only; the command
            line takes this suite by default.
        takes_models: whether the models of its runs may be chosen; otherwise, tasks are enough.
        position: of its question on the site, lower numbers first. What can be asked about any model precedes what is
            about a suite. Probes that declare none follow, in the order in which they are named.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    tables: ClassVar[Mapping[str, tuple[str, ...]]]
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    version: ClassVar[int] = 1
    suite: ClassVar[str] = ""
    takes_models: ClassVar[bool] = True
    position: ClassVar[int] = 1000

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The runs of the probe; by default those of the selection.

        Args:
            suite: tasks, models and protocol.
            selection: the part of the suite to run.
            sources: where the data is.
            reading: for the progress.

        Raises:
            CrystalBenchError: the selection makes no sense, or data is missing.
        """
        return make_plan(suite, selection, sources, reading)

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        """Put questions to the fitted models of one run. By default, nothing is asked.

        The answers depend on the run only: they are kept in a file, and not asked for again.

        Args:
            fitted: the models, which predict any crystals.

        Returns:
            At least one row, with columns of numbers and texts, and none of `crystalbench.results.answers.FACTS`.
        """
        raise NotImplementedError

    @property
    def asks(self) -> bool:
        """Whether models are asked anything."""
        return type(self).ask is not Probe.ask

    def asks_models_of(self, run: Run) -> bool:
        """Whether the models of a run are asked; by default, those of all runs if any."""
        return self.asks

    def describe(self, task: Task) -> pd.DataFrame:
        """Facts of the rows of a task which the evaluation needs, such as their formulas. By default, there are none.

        They depend on the data only: they are kept in a file, and are read again from there.

        Args:
            task: a task of the plan.

        Returns:
            Columns of numbers and texts, neither of which is ``task`` or ``data``.
        """
        raise NotImplementedError

    @property
    def describes(self) -> bool:
        """Whether the rows of tasks are described."""
        return type(self).describe is not Probe.describe

    @abstractmethod
    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Make the tables from all runs and answers in a folder of results.

        It depends on these only, so that tables can be made again at any time. Runs that others have made are among
        them, and it says which runs count.

        Args:
            results: all runs of the folder, those of this probe among them; ``results.scores`` has one row per run and
                metric, ``results.predictions`` one per predicted sample.
            answers: the rows that `ask` returned for each run, with the facts of the run, and those that `describe`
                returned for each task, with its name and digest as ``task`` and ``data``; empty if there are none.

        Returns:
            The tables by name, with the columns of `tables`. A table may be empty.
        """

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """What to show of the tables; by default, all of them.

        Args:
            tables: the tables; of those with a column ``task``, the rows of the tasks that were requested.
        """
        return [
            Section(name, list(map(str, table)), [[_text(value) for value in row] for row in table.to_numpy()])
            for name, table in tables.items()
        ]


def _text(value: object) -> str:
    if isinstance(value, float):
        return MISSING if pd.isna(value) else f"{value:.4g}"
    return str(value)
