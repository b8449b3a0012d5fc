"""Composition ceilings as a page."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.evaluation.ceiling import IN_SAMPLE, LEAVE_ONE_OUT
from crystalbench.reports.formatting import MISSING, format_spec, markdown_table, metric_title
from crystalbench.targets import METRICS

INTRODUCTION = (
    "The error that a model which sees the composition alone cannot undercut, because rows of one composition have "
    "different targets. `in sample` is the score of the best prediction for each composition, chosen with the targets "
    "of all rows: a lower bound. `leave one out` predicts each row from the others of its composition. What is "
    "possible for new polymorphs is between the two. Brackets hold 95 % intervals from a bootstrap over compositions. "
    "`all` counts rows without polymorphs as free of error; `polymorphs` are the rows that share their composition. "
    "The score is that of the best entry that sees the composition alone, over the same rows; where its predictions "
    "are not there, the published mean over the folds, and for `polymorphs` that of the best entry with predictions."
)

HEADER = ("task", "part", "rows", "compositions", "metric", "in sample", "leave one out", "best entry", "score")


def ceiling_markdown(frame: pd.DataFrame) -> str:
    """A page with a table of all tasks.

    Args:
        frame: the frames of `crystalbench.evaluation.ceiling.with_best`.
    """
    rows = []
    for (task, part, name), group in frame.groupby(["task", "part", "metric"], sort=False):
        metric, first = METRICS[str(name)], group.iloc[0]
        of = {str(bound): _interval(lines.iloc[0], metric.higher_is_better) for bound, lines in group.groupby("bound")}
        score = first["score"]
        rows.append(
            [
                *(str(task), str(part), f"{first['rows']:,}", f"{first['compositions']:,}"),
                *(metric_title(metric, first["unit"]), of[IN_SAMPLE], of[LEAVE_ONE_OUT], first["model"] or MISSING),
                MISSING if pd.isna(score) else f"{score:{format_spec(abs(score))}}",
            ]
        )
    return "\n".join(["# Composition ceilings", "", INTRODUCTION, "", *markdown_table(HEADER, rows)]) + "\n"


def _interval(bound: pd.Series[Any], best_is_one: bool) -> str:
    spec = format_spec(abs(bound["value"]), best_is_one=best_is_one)
    if pd.isna(bound["low"]):
        return f"{bound['value']:{spec}}"
    return f"{bound['value']:{spec}} [{bound['low']:{spec}}, {bound['high']:{spec}}]"
