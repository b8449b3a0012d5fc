"""Symmetry against intensities: what the areas decide, in tables and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from crystalbench.evaluation.genome import MARGIN
from crystalbench.reports.sections import Cell, Section, estimate

HEADING = "Symmetry against intensities"

INTRODUCTION = (
    "The table compares what absences add to the positions of the reflections (symmetry) with what intensities add to "
    "absences, as differences of the pooled area under the ROC curve with 95 % intervals over formulas and seeds. "
    "Symmetry matters more where the interval of symmetry − intensities is above zero; differences within "
    f"±{MARGIN:g} are equivalent."
)

VERDICTS = {
    "symmetry": "symmetry matters more",
    "intensities": "intensities matter more",
    "equivalent": "equivalent",
    "undecided": "undecided",
}
"""What is decided, in words."""

TITLES = ("task", "model", "view", "symmetry", "intensities", "symmetry − intensities", "p (Holm)", "verdict")


def genome_sections(areas: pd.DataFrame, decisions: pd.DataFrame) -> list[Section]:
    """What is decided, then all areas of each task.

    Args:
        areas: see `crystalbench.evaluation.genome.GenomeResults`.
        decisions: see there.
    """
    rows = [decision_cells(row) for row in decisions.to_dict("records")]
    lines = [INTRODUCTION] if rows else ["No model has the inputs full, absences and none yet."]
    sections = [Section(HEADING, TITLES if rows else (), rows, lines)]
    for task, found in areas.groupby("task", sort=True):
        heading = f"{task}: area under the ROC curve"
        sections.append(
            Section.crossed(
                heading, found, "input", "model", lambda row: estimate(row["auc"], row["low"], row["high"], "z.3f")
            )
        )
    return sections


def decision_cells(row: Mapping[Any, Any]) -> list[str | Cell]:
    """Texts of one decision, in the order of `TITLES`."""
    differences = [
        estimate(row[name], row[f"{prefix}low"], row[f"{prefix}high"], "+z.3f")
        for name, prefix in (("symmetry", "symmetry_"), ("intensities", "intensities_"), ("difference", ""))
    ]
    small = row["within_margin"] and row["verdict"] in ("symmetry", "intensities")
    verdict = VERDICTS[row["verdict"]] + " (within the margin)" * bool(small)
    return [str(row["task"]), str(row["model"]), str(row["view"]), *differences, f"{row['p_holm']:.2g}", verdict]
