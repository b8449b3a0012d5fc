"""A page per model: what it sees, its configurations, all its scores, and where it fails."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.boards import heading, places
from crystalbench.reports.formatting import format_spec, full_title, metric_title, score_text
from crystalbench.reports.site.content import Content
from crystalbench.reports.site.deviations import value_text
from crystalbench.reports.site.links import Identity, identity
from crystalbench.reports.site.pages.page import Page, tier_text
from crystalbench.sees import Sees, most
from crystalbench.targets import METRICS, Kind

WORST = 8
"""Rows with the largest errors that are listed for each task."""


def model_pages(content: Content) -> list[Page]:
    """One page per model: ours, imported and published ones."""
    found: dict[Identity, list[tuple[int, Entry]]] = defaultdict(list)
    for k, board in enumerate(content.boards):
        for entry in board.entries:
            found[identity(entry)].append((k, entry))
    worst = _worst_by_entry(content)
    return [_page(content, model, found[model], worst) for model in content.links.models]


def _page(
    content: Content,
    model: Identity,
    entries: list[tuple[int, Entry]],
    worst: dict[tuple[int, int], list[dict[str, Any]]],
) -> Page:
    source, name = model
    kinds = {entry.sees for _, entry in entries if entry.view == "full"} or {entry.sees for _, entry in entries}
    kind = most(kinds)
    values = {
        "name": name,
        "source": source,
        "ours": source == OURS,
        "kind": kind,
        "summary": _summary(name) if source == OURS else "",
        "pretrained_on": sorted({data for _, entry in entries for data in entry.pretrained_on}),
        "scores": [_score(content, k, entry) for k, entry in entries],
        "configurations": _configurations(content, entries) if source == OURS else [],
        "worst": [
            {
                "title": heading(content.boards[k]),
                "link": content.links.boards[k],
                "unit": content.boards[k].unit,
                "entry": full_title(entry),
                "rows": worst[k, id(entry)],
                "has_formulas": any(row["formula"] for row in worst[k, id(entry)]),
            }
            for k, entry in entries
            if (k, id(entry)) in worst and entry.view == "full"
        ],
        "undeclared": kind is Sees.UNDECLARED,
    }
    return Page(content.links.models[model], "model.html", name, values, {})


def _summary(name: str) -> str:
    """First line of the documentation of a model; empty if it cannot be found here."""
    from crystalbench.models.registry import get_model, model_names, summary

    try:
        return summary(get_model(name)) if name in model_names() else ""
    except CrystalBenchError:
        return ""


def _score(content: Content, k: int, entry: Entry) -> dict[str, Any]:
    board = content.boards[k]
    at = next(i for i, e in enumerate(board.entries) if e is entry)
    ranked = sum(board.is_ranked(e) for e in board.entries)
    rank = places(board)[at]
    dummy = board.minus_dummy(entry)
    skill = None
    if dummy is not None and board.dummy is not None and not board.higher_is_better:
        base = entry.scores[board.metric].mean - dummy.mean
        skill = -dummy.mean / base if base else None
    return {
        "task": heading(board),
        "link": content.links.boards[k],
        "title": full_title(entry),
        "metric": metric_title(METRICS[board.metric], board.unit),
        "score": score_text(entry, METRICS[board.metric]),
        "rank": "" if rank is None else f"{rank} of {ranked}",
        "order": rank,
        "tier": tier_text(content.boards[k].standings[at]),
        "skill": "" if skill is None or not np.isfinite(skill) else f"{skill:.3f}",
        "note": "; ".join(part for part in (entry.note, entry.refused, entry.flagged) if part),
    }


def _configurations(content: Content, entries: list[tuple[int, Entry]]) -> list[dict[str, Any]]:
    """Protocol, hyperparameters and a command of each configuration; tasks with the same ones are together."""
    found: dict[str, dict[str, Any]] = {}
    for k, entry in entries:
        if (settings := content.settings.get(entry.configuration)) is None:
            continue
        parameters = {name: value for name, value in settings.items() if name not in ("model", "version", "code")}
        text = json.dumps([full_title(entry), parameters], sort_keys=True)
        row = found.setdefault(
            text,
            {
                "title": full_title(entry),
                "parameters": [{"name": key, "value": value_text(value)} for key, value in parameters.items()],
                "tasks": [],
                "command": content.commands.get(entry.configuration, ""),
                "version": settings.get("version"),
            },
        )
        row["tasks"].append(content.boards[k].task)
    return list(found.values())


def _worst_by_entry(content: Content) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """The rows with the largest errors, by position of the board and identity of the entry."""
    found = {}
    for k, board in enumerate(content.boards):
        if board.kind != Kind.REGRESSION:
            continue
        for entry, rows in content.predicted[k]:
            found[k, id(entry)] = _worst(content, board, rows)
    return found


def _worst(content: Content, board: Board, rows: pd.DataFrame) -> list[dict[str, Any]]:
    errors = rows["prediction"] - rows["target"]
    order = errors.abs().sort_values(ascending=False, kind="stable").index[:WORST]
    listed = []
    for row, error in zip(rows.loc[order].to_dict("records"), errors[order], strict=True):
        spec = format_spec(max(abs(row["target"]), abs(row["prediction"])))
        listed.append(
            {
                "id": str(row["id"]),
                "formula": content.formulas(board).get(str(row["id"]), ""),
                "target": f"{row['target']:{spec}}",
                "prediction": f"{row['prediction']:{spec}}",
                "error": f"{error:+{spec}}".replace("-", "−"),
                "size": abs(float(error)),
                "fold": int(row["fold"]),
            }
        )
    return listed
