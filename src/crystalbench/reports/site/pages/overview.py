"""The first page: which kind of representation serves which property, and what is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.kinds import BestOfKind, best_of_kinds
from crystalbench.evaluation.tiers import Standing
from crystalbench.reports.boards import heading
from crystalbench.reports.formatting import format_spec, full_title, metric_title
from crystalbench.reports.site.content import Content
from crystalbench.reports.site.deviations import deviations
from crystalbench.reports.site.pages.page import Page, entry_list
from crystalbench.sees import Sees
from crystalbench.targets import METRICS

COLUMNS = tuple(kind for kind in Sees if kind not in (Sees.NOTHING, Sees.UNDECLARED))
"""Kinds that have a column in the matrix."""


def overview_pages(content: Content) -> list[Page]:
    """The page ``index.html``."""
    plain = [k for k, board in enumerate(content.boards) if board.is_official and not board.is_partial]
    others = [k for k in range(len(content.boards)) if k not in plain]
    runs = content.scores.loc[content.scores["source"] == OURS, "key"].nunique()
    across = content.table("across")
    values = {
        "across": [_across(rows) for _, rows in across.groupby("group", sort=True)] if len(across) else [],
        "kinds": COLUMNS,
        "rows": [_row(content, k) for k in plain],
        "others": [
            {"title": heading(content.boards[k]), "link": content.links.boards[k], "words": _words(content, k)}
            for k in others
        ],
        "runs": runs,
        "models": len({e.model_name for board in content.boards for e in board.entries if e.source == OURS}),
        "published": len({e.model for board in content.boards for e in board.entries if e.source != OURS}),
    }
    return [Page("index.html", "overview.html", "Which representation for which property?", values, {})]


def _across(rows: pd.DataFrame) -> dict[str, Any]:
    """Average ranks of a group of entries that share their tasks."""
    first = rows.iloc[0]
    tasks = [name.removeprefix("matbench_") for name in str(first["task_names"]).split()]
    ranked = rows[rows["average_rank"].notna()].sort_values("average_rank", kind="stable")
    return {
        "tasks": ", ".join(tasks),
        "critical": "" if pd.isna(first["critical_difference"]) else f"{first['critical_difference']:.2f}",
        "rows": [
            {
                "model": str(row["model"]),
                "source": str(row["source"]),
                "normalised": "" if pd.isna(row["normalised"]) else f"{row['normalised']:.3f}",
                "rank": f"{row['average_rank']:.2f}",
                "top": f"{int(row['top_tier'])} of {int(row['tested'])}",
            }
            for row in ranked.to_dict("records")
        ],
    }


def _row(content: Content, k: int) -> dict[str, Any]:
    board = content.boards[k]
    places = dict(zip(map(id, board.entries), board.standings, strict=True))
    kinds = {best.kind: best for best in best_of_kinds(board)}
    first = next((e for e in board.entries if board.is_ranked(e)), None)
    return {
        "task": board.task.removeprefix("matbench_"),
        "link": content.links.boards[k],
        "metric": metric_title(METRICS[board.metric], board.unit),
        "rows": board.rows,
        "cells": [None if kind not in kinds else _cell(content, board, kinds[kind], first, places) for kind in COLUMNS],
        "words": _words(content, k),
    }


def _cell(
    content: Content, board: Board, best: BestOfKind, first: Entry | None, places: dict[int, Standing | None]
) -> dict[str, Any]:
    metric = METRICS[board.metric]
    mean = best.entry.scores[board.metric].mean
    place = places[id(best.entry)]
    top = mean if first is None else first.scores[board.metric].mean
    return {
        "score": f"{mean:{format_spec(abs(mean), best_is_one=metric.higher_is_better)}}",
        "model": full_title(best.entry),
        "deviations": deviations(content, best.entry),
        "link": content.links.model(best.entry),
        "ours": best.entry.source == OURS,
        "tier": 0 if place is None else place.tier,
        "shade": _shade(mean, top, higher_is_better=metric.higher_is_better),
        "entries": best.entries,
    }


def _shade(mean: float, best: float, *, higher_is_better: bool) -> int:
    """How close a score is to the best one, from 0 (an error at least twice as large) to 4 (within 5 %)."""
    error, least = (1 - mean, 1 - best) if higher_is_better else (mean, best)
    if least <= 0:
        return 4 if error <= least else 0
    excess = error / least - 1
    return sum(excess <= limit for limit in (0.05, 0.2, 0.5, 1.0))


def _words(content: Content, k: int) -> str:
    """What is resolved on a board, in words."""
    board, places = content.boards[k], content.boards[k].standings
    ranked = [(e, p) for e, p in zip(board.entries, places, strict=True) if p is not None]
    if len(ranked) < 2:
        return "There are fewer than two complete entries to compare."
    if not len(board.pairs.a):
        return "Pairs are not tested on these folds."
    best = ranked[0][0]
    tied = [e for e, p in ranked[1:] if p.tier == 1]
    rest = [e for e, p in ranked if p.tier > 1]
    alone = f"{full_title(best)} is better than all others." if not tied else ""
    text = alone or f"{full_title(best)} cannot be told apart from {entry_list(tied)}."
    if rest and tied:
        text += f" The best entry that is resolved to be worse: {full_title(rest[0])}."
    return f"{text} {_kinds_in_words([e for e, p in ranked if p.tier == 1], rest)}"


def _kinds_in_words(top: Sequence[Entry], rest: Sequence[Entry]) -> str:
    there = {entry.sees for entry in top} - {Sees.UNDECLARED}
    missing = {entry.sees for entry in rest} - there - {Sees.UNDECLARED, Sees.NOTHING}
    first = "; ".join(kind.label for kind in COLUMNS if kind in there)
    text = f"Kinds in the first tier: {first}." if first else ""
    if missing:
        text += f" Not in it: {'; '.join(kind.label for kind in COLUMNS if kind in missing)}."
    return text.strip()
