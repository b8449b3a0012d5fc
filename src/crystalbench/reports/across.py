"""Entries across tasks, for Markdown, screen, CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from crystalbench.evaluation.across import Group
from crystalbench.evaluation.board import OURS
from crystalbench.evaluation.comparison import p_text
from crystalbench.reports.formatting import MISSING, markdown_table

HEADING = "Across tasks"

EXPLANATION = (
    "Normalised scores are errors as shares of the dummy's error on the same folds (MAE/MAD for regression, "
    "1 − (2 AUC − 1) for areas under a curve): 0 is perfect, 1 as good as the dummy. Only entries with a rank on all "
    "tasks of a group are in it; dummies have no average rank."
)

MODEL = 0
"""Index of the column of names in `across_table`."""


def across_table(group: Group, *, by_task: bool = True) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table, one row per entry.

    Args:
        group: the entries.
        by_task: whether to add a column with the normalised scores of each task.
    """
    tasks = group.tasks if by_task else []
    titles = ["model", "normalised", "average rank", "in tier 1", *tasks, "source"]
    means = group.scores.mean(axis="columns")
    rows = []
    for title in map(str, group.scores.index):
        rank = math.nan if group.ranks is None else group.ranks.ranks.get(title, math.nan)
        rows.append(
            [
                title,
                f"{means[title]:.3f}",
                MISSING if math.isnan(rank) else f"{rank:.2f}",
                f"{group.top_tiers[title]} of {group.tested}" if group.tested else MISSING,
                *(f"{score:.3f}" for score in group.scores.loc[title, tasks].to_numpy(np.float64)),
                group.sources[title],
            ]
        )
    return titles, rows


def ranks_text(group: Group) -> str:
    """What the average ranks of a group say, in one or two sentences."""
    tasks = f"{len(group.tasks)} tasks ({', '.join(group.tasks)})"
    if group.ranks is None:
        return f"{tasks}: too few entries for average ranks."
    found = group.ranks
    friedman = "" if math.isnan(found.p) else f" Friedman's test that all rank equally: {p_text(found.p)}."
    all_alike = float(found.ranks.max() - found.ranks.min()) < found.critical_difference
    verdict = "no two entries can be told apart" if all_alike else "entries that are closer cannot be told apart"
    return (
        f"{len(found.ranks)} entries on {tasks}.{friedman} The critical difference of average ranks is "
        f"{found.critical_difference:.2f}: {verdict}."
    )


def left_out_text(left_out: Mapping[str, str]) -> str:
    """What is not compared across tasks, and why; empty if there is nothing."""
    return f"Left out: {'; '.join(f'{what}: {why}' for what, why in left_out.items())}." if left_out else ""


def across_markdown(groups: Sequence[Group], left_out: Mapping[str, str]) -> list[str]:
    """Lines of a section with a table for each group; none without groups."""
    if not groups:
        return []
    lines = [f"## {HEADING}", "", EXPLANATION]
    lines += ["", text] if (text := left_out_text(left_out)) else []
    for group in groups:
        titles, rows = across_table(group)
        for row in rows:
            row[MODEL] = f"**{row[MODEL]}**" if row[-1] == OURS else row[MODEL]
        lines += ["", ranks_text(group), "", *markdown_table(titles, rows)]
    return lines
