"""The information matrix: a model under views that each leave one kind of information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError
from crystalbench.evaluation import information
from crystalbench.models import Needs, Sees
from crystalbench.probes.places import places_of
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.information import information_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.suite import Suite
from crystalbench.sees import Hidden, seen
from crystalbench.tasks import DataSources
from crystalbench.tasks.suffixes import SHUFFLED


class Information(Probe):
    """How much of its skill a model keeps under each view, and how much comes from which kind of information.

    Besides the views, it runs the dummy, against which skill is measured, and each model on the task with shuffled
    labels, the control.
    """

    name: ClassVar[str] = "information"
    description: ClassVar[str] = "how much of a model's skill comes from chemistry, density, geometry, periodicity"
    position: ClassVar[int] = 10
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "information": information.COLUMNS,
        "information_sources": information.SOURCE_COLUMNS,
    }

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """The selected models under all views from which they see something, the dummy, and the controls.

        Raises:
            ConfigError: no model is left besides the dummy; or as in `make_plan`.
        """
        views = list(dict.fromkeys([FULL, *(selection.views or information.VIEWS)]))
        models = [*selection.models, information.DUMMY] if selection.models else []
        suite = suite.model_copy(update={"models": (*suite.models, information.DUMMY)})
        selection = replace(selection, models=models, views=views)
        plan = make_plan(suite, selection, sources, reading)
        control = make_plan(_control(suite, plan), replace(selection, tasks=(), views=[FULL]), sources, reading)
        left_out: dict[str, dict[str, None]] = {}
        runs = []
        for run in [*plan.runs, *control.runs]:
            if (reason := why_left_out(run)) is None:
                runs.append(run)
            elif reason:
                left_out.setdefault(reason, {})[run.spec.view] = None
        notes = [f"{reason}, left out: {', '.join(views)}" for reason, views in left_out.items()]
        if all(run.spec.model == information.DUMMY for run in runs):
            reasons = "; ".join([*plan.notes, *notes]) or f"{information.DUMMY} is the only model"
            raise ConfigError(
                f"probe {self.name}: skill is measured against {information.DUMMY}, and there is no other model to "
                f"run: {reasons}; choose another with --model, or another task with --task"
            )
        return Plan(runs, [*plan.tasks, *control.tasks], [*plan.notes, *notes])

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The matrix, and the sources of skill."""
        dummies = results.select(model_name=information.DUMMY)
        return {
            "information": information.information(results.scores, dummies.predictions),
            "information_sources": information.sources_of_skill(results.scores),
        }

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """Both tables in words."""
        return information_sections(tables["information"], tables["information_sources"])


def why_left_out(run: Run) -> str | None:
    """Why a run would say nothing, by what model and view declare; empty for a reason not worth a note, None to run it.

    A model that sees nothing of what a view leaves is not run under it, nor is one that sees the composition alone
    under a view that is not declared to hide it. What is not declared is run.
    """
    declared = run.model.from_configuration(run.spec.parameters).sees
    composition = run.model.needs is Needs.COMPOSITION
    if composition and declared is Sees.UNDECLARED:
        declared = Sees.COMPOSITION  # it gets nothing else
    if run.view.name == FULL:
        return None
    if declared is Sees.NOTHING:
        return ""
    hides = run.view.hides
    if hides is not None and composition:
        hides = hides | {Hidden.STRUCTURE}
    left = seen(declared, hides)
    if left is Sees.NOTHING:
        return f"{run.label} sees nothing of what these views leave"
    if left is Sees.COMPOSITION and declared is Sees.COMPOSITION:
        return f"{run.label} sees the composition alone, which these views do not hide"
    return None


def _control(suite: Suite, plan: Plan) -> Suite:
    """The suite with the controls of the planned tasks."""
    places = places_of(suite.tasks)
    return suite.model_copy(update={"tasks": tuple(f"{places[task.name]}{SHUFFLED}" for task in plan.tasks)})
