"""How a task looks in a notebook: one line, a small HTML table, or a data frame of its rows."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.targets import METRICS, Kind

if TYPE_CHECKING:
    from crystalbench.tasks.task import Task


def describe(task: Task) -> str:
    """One line, e.g. ``Task matbench_phonons: 1,265 crystals → last phdos peak (cm⁻¹), 5 folds, metric MAE``."""
    folds = len(task.fold_numbers)
    return (
        f"Task {task.name}: {_rows(task)} → {_property(task)}, {folds} fold{'s' * (folds != 1)}, metric {_metric(task)}"
    )


def to_html(task: Task) -> str:
    """A small HTML table with the facts of a task; all text is escaped."""
    sizes = [int((task.folds == fold).sum()) for fold in task.fold_numbers]
    facts = {
        "rows": _rows(task),
        "property": _property(task),
        "kind": str(task.target.kind),
        "metric": _metric(task),
        "rows in the test part of each fold": ", ".join(f"{size:,}" for size in sizes),
        "source": f"{task.source.name} (verified: {task.source.verified})",
    }
    rows = "".join(
        f"<tr><th style='text-align: left'>{escape(name)}</th><td style='text-align: left'>{escape(fact)}</td></tr>"
        for name, fact in facts.items()
    )
    return f"<table><caption><b>{escape(task.name)}</b></caption><tbody>{rows}</tbody></table>"


def to_frame(task: Task, *, structures: bool = False) -> pd.DataFrame:
    """The rows of a task as a table; see `Task.to_frame`."""
    inputs, target = task.inputs, task.target
    if structures and not isinstance(inputs, Crystals):
        raise ConfigError(f"{task.name} has compositions only; leave structures=True out")
    columns: dict[str, object] = {"id": inputs.ids.astype(object), "formula": inputs.formulas()}
    if isinstance(inputs, Crystals):
        columns["n_atoms"] = inputs.atom_counts
    columns["target"] = np.array(task.targets)
    if target.kind is not Kind.REGRESSION:
        columns["label"] = pd.Categorical.from_codes(task.targets.astype(np.int64), pd.Index(target.classes))
    columns["fold"] = np.array(task.folds)
    if structures and isinstance(inputs, Crystals):
        columns["structure"] = inputs.to_pymatgen()
    return pd.DataFrame(columns)


def _rows(task: Task) -> str:
    inputs = "crystals" if task.has_structures else "compositions"
    return f"{len(task):,} of {task.rows_total:,} {inputs}" if task.is_partial else f"{len(task):,} {inputs}"


def _property(task: Task) -> str:
    target = task.target
    if target.kind is Kind.REGRESSION:
        return f"{target.name} ({target.unit})" if target.unit else target.name
    classes = " / ".join(target.classes) if len(target.classes) <= 3 else f"{len(target.classes)} classes"
    return f"{target.name} ({classes})"


def _metric(task: Task) -> str:
    return METRICS[task.metric].label if task.metric in METRICS else task.metric
