"""The information matrix as text."""

from __future__ import annotations

import math
from typing import Any, cast

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.information import CONTROL, KINDS, VIEWS
from crystalbench.reports.formatting import MISSING
from crystalbench.reports.sections import Section
from crystalbench.targets import METRICS, OFFICIAL

MOST = 0.5
"""Kinds of information are named, the largest first, until they make up this share of the skill."""

EXPLANATION = (
    "Skill is the share of the dummy's error that a model removes under a view, with its 95 % interval over folds and "
    "seeds (corrected t-test)."
)
SOURCES = (
    "Sources are shares of the skill with the full crystal in two chains of views, one that begins with the elements "
    "and one that ends with them; what several kinds of information tell is credited to the one that is added first."
)


def information_sections(matrix: pd.DataFrame, sources: pd.DataFrame) -> list[Section]:
    """Two tables for each task: the skill under each view, and where it comes from, with sentences.

    Args:
        matrix: as of `crystalbench.evaluation.information.information`.
        sources: as of `crystalbench.evaluation.information.sources_of_skill`.
    """
    sections = []
    for board, mine in matrix.groupby(["task", "fold_scheme", "rows"], sort=True):
        task, scheme, rows = cast(tuple[Any, ...], board)
        of_board = sources[(sources["task"] == task) & (sources["fold_scheme"] == scheme) & (sources["rows"] == rows)]
        first: Any = mine.iloc[0]
        partial = f" of {first['rows_total']:,}" if first["rows_total"] > rows else ""
        folds = "" if scheme == OFFICIAL else f", folds {scheme}"
        metric = METRICS[first["metric"]]
        unit = f" {first['unit']}" if metric.has_unit and first["unit"] else ""
        heading = f"{task} ({rows:,}{partial} rows{folds})"
        lines = [EXPLANATION, f"The {metric.label} of the dummy is {first['score_dummy']:.4g}{unit}.{_constant(first)}"]
        lines += _controls(mine)
        sections.append(Section(f"{heading}: skill by view", *_matrix(mine), lines))
        if len(of_board):
            sections.append(
                Section(
                    f"{heading}: where the skill comes from", *_sources(of_board), [*_words(of_board, mine), SOURCES]
                )
            )
    return sections


def _matrix(mine: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A row per view, a column per model."""
    order = [*VIEWS, CONTROL]
    views = sorted(mine["view"].unique(), key=lambda v: (order.index(v) if v in order else len(VIEWS) - 0.5, v))
    models = list(dict.fromkeys(mine["model"]))
    cells = {(row["view"], row["model"]): _skill_text(row) for _, row in mine.iterrows()}
    rows = [[_view_title(view), *(cells.get((view, model), MISSING) for model in models)] for view in views]
    return ["view", *models], rows


def _view_title(view: str) -> str:
    return "labels shuffled (control)" if view == CONTROL else view


def _skill_text(row: Any) -> str:
    skill, low, high = (float(row[name]) for name in ("skill", "low", "high"))
    if math.isnan(skill):
        return f"undefined ({row['note']})"
    interval = "" if math.isnan(low) else f" [{_number(low)}, {_number(high)}]"
    return f"{_number(skill)}{interval}"


def _number(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _sources(mine: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A row per model, a column per kind of information."""
    rows = []
    for model, of_model in mine.groupby("model", sort=False):
        cells = [_range_text(of_model.loc[of_model["information"] == kind, "share"]) for kind in KINDS]
        rows.append([str(model), *cells])
    return ["model", *KINDS], rows


def _range_text(shares: pd.Series[float]) -> str:
    """Shares of the skill in percent, from the smallest to the largest."""
    known = sorted(round(100 * share) for share in shares if not math.isnan(share))
    if not known:
        return MISSING
    text = f"{known[0]} to {known[-1]} %" if known[0] != known[-1] else f"{known[0]} %"
    return text.replace("-", "−")


def _words(sources: pd.DataFrame, matrix: pd.DataFrame) -> list[str]:
    """One sentence per model."""
    full = matrix[matrix["view"] == FULL].set_index("model")
    return [
        sentence_of(str(model), of_model, full.loc[model]) for model, of_model in sources.groupby("model", sort=False)
    ]


def sentence_of(model: str, sources: pd.DataFrame, full: Any) -> str:
    """Where the skill of a model comes from, in words.

    Args:
        model: its name.
        sources: its rows of `crystalbench.evaluation.information.sources_of_skill` on one task.
        full: its row of the matrix with the full crystal.
    """
    known = sources.dropna(subset="share")
    shares = {kind: float(known.loc[known["information"] == kind, "share"].mean()) for kind in known["information"]}
    if not shares:
        why = "is not resolved from 0" if math.isnan(full["low"]) or full["low"] <= 0 else "has no view to compare with"
        return f"{model}: the skill of {_number(full['skill'])} with the full crystal {why}, so that it has no sources."
    if (sources["chain"] == "declared").all():
        return f"{model} sees the composition alone: its skill of {_number(full['skill'])} is chemistry."
    total = 0.0
    main: list[str] = []
    for kind in sorted(shares, key=lambda kind: -shares[kind]):
        if total >= MOST:
            break
        main.append(kind)
        total += shares[kind]
    parts = f"{', '.join(main[:-1])} and {main[-1]}" if len(main) > 1 else main[0]
    return f"{model}: {100 * total:.0f} % of the skill of {_number(full['skill'])} is {parts} (mean of both chains)."


def _controls(mine: pd.DataFrame) -> list[str]:
    """What the control says of each model, the failures first."""
    control = mine[mine["view"] == CONTROL]
    floor = control["constant"].fillna(0).clip(lower=0)
    above = control[control["low"] > floor]
    lines = [
        f"WARNING: with shuffled labels, {row['model']} is better than the dummy (skill {_skill_text(row)}): it has "
        "seen test rows, or the folds are not independent; do not trust its other numbers."
        for _, row in above.iterrows()
    ]
    fine = [str(model) for model in control.loc[~(control["low"] > floor) & control["low"].notna(), "model"]]
    if fine:
        lines.append(f"Control passed (nothing learned from shuffled labels): {', '.join(fine)}.")
    return lines


def _constant(row: Any) -> str:
    """What a constant prediction can reach, if that is more than the dummy."""
    if not row["constant"] >= 0.005:
        return ""
    return (
        f" The median of the test targets, which depends on no input, has a skill of {_number(row['constant'])}: a "
        "skill up to this says nothing."
    )
