"""What models know of descriptors: learned as targets, or read from embeddings by a linear probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation import descriptors as evaluation
from crystalbench.evaluation.linear_probe import exchanged, linear_probe
from crystalbench.models import Embeds, Sees
from crystalbench.probes.choices import ignored
from crystalbench.probes.fitted import Fitted
from crystalbench.probes.places import places_of
from crystalbench.probes.probe import Probe, Reading
from crystalbench.reports.descriptors import descriptor_sections
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.tasks import DataSources, Task, resolve_tasks
from crystalbench.tasks.catalogue import DEFAULT, DESCRIPTORS, OF_COMPOSITIONS, names_for
from crystalbench.tasks.described import REMARK, canonical
from crystalbench.tasks.suffixes import DESCRIPTOR, divided, is_made_of_another

FOREST = ModelEntry(model="descriptor_forest", label=evaluation.FLOOR, parameters={"bank": "volume_per_atom+magpie"})
"""The floor of models trained on a descriptor."""


class Descriptors(Probe):
    """Which descriptors of a crystal a model can learn, and which are in the embeddings of fitted networks.

    On a task, networks are trained on its property, and linear probes read all descriptors from their embeddings. All
    models, and the forest that is the floor, are trained on a short list of descriptors; others are chosen by the names
    of their tasks, ``TASK+descriptor:NAME``.
    """

    name: ClassVar[str] = "descriptors"
    description: ClassVar[str] = "which descriptors of a crystal a model can learn, and which its embeddings tell"
    position: ClassVar[int] = 30
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"descriptors": evaluation.COLUMNS}

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: Reading | None = None) -> Plan:
        """Networks on the selected tasks, and all models with the floor on descriptors of their rows.

        Tasks with compositions only have descriptors of the composition, on which the floor would be the answer itself.

        Raises:
            UnknownNameError: a selected task is not one of the suite.
            ConfigError: no model sees anything; or as in `make_plan`.
        """
        ignoring = ignored(selection, ("views",), "descriptors are of complete crystals")
        selection = replace(selection, views=[FULL])
        requested = [*(selection.tasks or suite.tasks)]
        plain = resolve_tasks(task for task in requested if DESCRIPTOR not in task)
        targets = [task for task in requested if DESCRIPTOR in task]
        places = places_of(suite.tasks)
        for spec in plain:
            if spec.name not in places:
                raise UnknownNameError(f"task of the suite {suite.name}", spec.name, places)
            names = DEFAULT if spec.has_structures_here(sources) else OF_COMPOSITIONS
            targets += [f"{places[spec.name]}{DESCRIPTOR}{name}" for name in names]
        models = replace(selection, tasks=())
        parts = [make_plan(_suite(suite, targets), models, sources, reading)]
        if floors := [target for target in targets if resolve_tasks([target])[0].has_structures_here(sources)]:
            forest = replace(models, models=(), parameters={})
            parts.append(make_plan(_suite(suite, floors, FOREST), forest, sources, reading))
        if plain:
            named = replace(selection, tasks=[spec.name for spec in plain])
            parts.insert(0, make_plan(suite, named, sources, reading))
        runs = [run for part in parts for run in part.runs if _informative(run)]
        if not runs:
            raise ConfigError(f"probe {self.name}: these models see nothing; choose others with --model")
        tasks = {task.name: task for part in parts for task in part.tasks}
        notes = [*dict.fromkeys(note for part in parts for note in part.notes if REMARK not in note)]
        return Plan(runs, list(tasks.values()), [*notes, *ignoring])

    def asks_models_of(self, run: Run) -> bool:
        """Those that were trained on the property of a task and have embeddings."""
        return DESCRIPTOR not in run.spec.task and issubclass(run.model, Embeds)

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        """Read all descriptors from the embeddings by linear probes.

        Returns:
            The columns `crystalbench.evaluation.descriptors.ANSWERS`; R² is the mean over the members of an ensemble.
        """
        run = fitted.run
        _, values = canonical(run.task.inputs, fitted.processes)
        train, test = run.task.split(run.spec.fold)
        control = exchanged(values, train, run.spec.fold)
        found: dict[str, list[np.ndarray]] = {}
        for trained, untrained in fitted.embeddings():
            for mode, embeddings, targets in (
                (evaluation.LINEAR, trained, values),
                (evaluation.UNTRAINED, untrained, values),
                (evaluation.CONTROL, trained, control),
            ):
                found.setdefault(mode, []).append(linear_probe(embeddings, targets, train, test, run.spec.fold))
        parts = [
            pd.DataFrame(
                {
                    "descriptor": list(names_for(has_structures=run.task.has_structures)),
                    "mode": mode,
                    "r2": np.mean(scores, axis=0),
                }
            )
            for mode, scores in found.items()
        ]
        return pd.concat(parts, ignore_index=True).assign(rows_train=len(train), rows_test=len(test))

    def describe(self, task: Task) -> pd.DataFrame:
        """How much descriptors vary on each test part: the target of a descriptor's task, all of any other.

        Returns:
            The columns `crystalbench.evaluation.descriptors.SPREADS`.
        """
        if is_made_of_another(task.name):
            names: Sequence[str] = (task.target.name,)
            values = task.targets[:, None]
        else:
            names, values = names_for(has_structures=task.has_structures), canonical(task.inputs)[1]
        parts = [
            pd.DataFrame(
                {
                    "descriptor": list(names),
                    "fold": fold,
                    "spread": evaluation.relative_spreads(values, *task.split(fold)),
                }
            )
            for fold in task.fold_numbers
        ]
        return pd.concat(parts, ignore_index=True)

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The table of what models know."""
        kinds = {descriptor.name: descriptor.kind for descriptor in DESCRIPTORS.values()}
        return {"descriptors": evaluation.descriptors(results.scores, answers, kinds)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """The table of each task, and what each model knows, in words."""
        return descriptor_sections(tables["descriptors"])


def _suite(suite: Suite, tasks: list[str], *models: ModelEntry) -> Suite:
    """The suite with other tasks, and perhaps other models."""
    return suite.model_copy(update={"tasks": tuple(tasks)} | ({"models": models} if models else {}))


def _informative(run: Run) -> bool:
    """Whether a run says something: not one of the dummy, nor of a model on a property without embeddings to read."""
    if run.model.from_configuration(run.spec.parameters).sees is Sees.NOTHING:
        return False
    return bool(divided(run.spec.task)[1]) or issubclass(run.model, Embeds)
