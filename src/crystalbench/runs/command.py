"""The command that repeats a run."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from crystalbench.results.record import TuningResult
from crystalbench.results.spec import RunSpec
from crystalbench.runs.suite import packaged_tasks
from crystalbench.targets import OFFICIAL
from crystalbench.tasks.suffixes import divided
from crystalbench.tasks.task import Task


@dataclass(frozen=True)
class CommandNames:
    """The names by which the user referred to the model, the view and the folds.

    A path such as ``mine/my_model.py:Mine`` is needed to repeat a run. The key of the run must not depend on it, so it
    is not part of the run's specification.
    """

    model: str
    view: str
    folds: str = OFFICIAL


def repeat_command(
    spec: RunSpec, task: Task, tuned: TuningResult | None = None, names: CommandNames | None = None
) -> str:
    """The command that repeats a run, given the data. Tuned hyperparameters are tuned again, not set.

    Task files and tables are named without their folder; files of models and views as the user named them.

    Args:
        spec: specification of the run.
        task: its task.
        tuned: the result of tuning, if the run was tuned.
        names: the user's names for model, view and folds; by default those in the specification.
    """
    names = names or CommandNames(spec.model, spec.view, spec.folds_text)
    plain, _ = divided(spec.task)  # data are named for the task itself
    file = "" if plain in packaged_tasks() else task.source.task_file
    words: list[Any] = ["crystalbench", "run", "--task", file or spec.task]
    words += ["--model", names.model]
    words += ["--fold", spec.fold, "--seed", spec.seed, "--view", names.view]
    if spec.fold_scheme is not None:
        words += ["--folds", names.folds]
    if spec.train_fraction is not None:
        words += ["--train-fraction", spec.train_fraction]
    words += ["--inner-folds", spec.protocol.inner_folds, "--ensemble", spec.protocol.ensemble]
    if (tuning := spec.tuning) is not None:
        budget = ["--tune", tuning.trials] if tuning.trials is not None else ["--tune-minutes", f"{tuning.minutes:g}"]
        words += [*budget, "--tune-scheme", tuning.scheme]
        words += [
            "--tune-inner-folds",
            tuning.inner_folds,
            "--tune-splits",
            tuning.splits,
            "--tune-seeds",
            tuning.seeds,
        ]
    for name, value in spec.parameters.items():
        if tuned is None or name not in tuned.parameters:
            words += ["--set", f"{name}={_as_text(value)}"]
    if task.source.verified == "ids":
        words += ["--data", f"{plain}={task.source.name}"]
    if task.is_partial:  # if a table has no more rows than these, the limit changes nothing
        words += ["--limit", len(task)]
    return shlex.join(map(str, words))


def _as_text(value: Any) -> str:
    """A hyperparameter as ``--set`` reads it: JSON, or a string without quotes if it reads as one."""
    if isinstance(value, str) and value not in ("True", "False", "None"):
        try:
            json.loads(value)
        except json.JSONDecodeError:
            return value
    return json.dumps(value, ensure_ascii=False)
