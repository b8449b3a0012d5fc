"""The information matrix as text."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from crystalbench.data.views import FULL, get_view
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.information import CONTROL, KINDS, VIEWS
from crystalbench.reports.formatting import size_text
from crystalbench.reports.sections import Cell, Section, estimate
from crystalbench.targets import METRICS

MOST = 0.5
"""Kinds of information are named, the largest first, until they make up this share of the skill."""

_BOARD = ["task", "fold_scheme", "rows"]

EXPLANATION = (
    "Skill is the share of the dummy's error that a model removes under a view, with its 95 % interval over folds and "
    "seeds (corrected t-test)."
)
SOURCES = (
    "Two chains of views divide the skill with the full crystal, one that begins with the elements and one that ends "
    "with them. Numbers are the skill that a kind of information adds, and its share in percent. What several kinds "
    "tell is credited to the one that is added first, so the two numbers are the most and the least that it is worth."
)


def information_sections(matrix: pd.DataFrame, sources: pd.DataFrame) -> list[Section]:
    """Two tables for each task: the skill under each view, and where it comes from, with sentences.

    Args:
        matrix: as of `crystalbench.evaluation.information.information`.
        sources: as of `crystalbench.evaluation.information.sources_of_skill`.
    """
    sections = []
    for _, mine in matrix.groupby(_BOARD, sort=True):
        first: Any = mine.iloc[0]
        of_board = sources[(sources[_BOARD] == first[_BOARD]).all(axis=1)]
        metric = METRICS[first["metric"]]
        unit = f" {first['unit']}" if metric.has_unit and first["unit"] else ""
        heading = f"{first['task']} ({size_text(first)})"
        lines = [EXPLANATION, f"The {metric.label} of the dummy is {first['score_dummy']:.4g}{unit}.{_constant(first)}"]
        lines += _controls(mine)
        by_view = mine.sort_values("view", kind="stable", key=lambda views: views.map(_place))
        by_view["view"] = by_view["view"].replace(CONTROL, "labels shuffled (control)")
        by_views = Section.crossed(f"{heading}: skill by view", by_view, "view", "model", _skill, lines)
        sections.append(replace(by_views, hints={view: hint for view in by_view["view"] if (hint := _hidden(view))}))
        if len(of_board):
            by_kind = of_board.sort_values("information", kind="stable", key=lambda kinds: kinds.map(KINDS.index))
            named = by_kind.assign(information=by_kind["information"] + ", " + by_kind["chain"])
            where = f"{heading}: where the skill comes from"
            words = [*_words(of_board, mine), SOURCES]
            sections.append(Section.crossed(where, named, "information", "model", _source, words))
    return sections


def _place(view: str) -> tuple[int, str]:
    """Where a view is in the table: the standard ones in their order, then others, and the control."""
    return (len(VIEWS) + 1 if view == CONTROL else VIEWS.index(view) if view in VIEWS else len(VIEWS)), view


def _hidden(view: str) -> str:
    """What a view hides, in words; nothing for views that are not registered here."""
    try:
        return f"hides {get_view(view).removes}" if view != FULL else ""
    except CrystalBenchError:
        return ""


def _skill(row: Any) -> str | Cell:
    if math.isnan(row["skill"]):
        return f"undefined ({row['note']})"
    return estimate(row["skill"], row["low"], row["high"], shaded=True)


def _source(row: Any) -> str | Cell:
    """The skill, with its share of that with the full crystal."""
    skill = estimate(row["skill"], row["low"], row["high"], shaded=True)
    if isinstance(skill, str) or math.isnan(row["share"]):
        return skill
    share = f"{100 * row['share']:z.0f} %".replace("-", "−")
    return replace(skill, note=f"{skill.note}, {share}" if skill.note else f"({share})")


def _number(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


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
        f"WARNING: with shuffled labels, {row['model']} is better than the dummy (skill {_skill(row)}): it has "
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
