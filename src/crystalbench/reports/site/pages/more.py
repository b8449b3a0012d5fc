"""Pages of all tasks together: information, costs, and the method with its caveats."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.evaluation.board import OURS
from crystalbench.reports.boards import heading
from crystalbench.reports.formatting import full_title, metric_title, score_text
from crystalbench.reports.site import charts
from crystalbench.reports.site.content import Content
from crystalbench.reports.site.pages.page import Page
from crystalbench.reports.timing import seconds_text
from crystalbench.sees import Sees
from crystalbench.targets import METRICS


def information_pages(content: Content) -> list[Page]:
    """The page ``information.html``: the skill that models keep under each view, and their invariances."""
    frame = content.table("information")
    tasks = [_matrix(str(task), rows) for task, rows in frame.groupby("task", sort=True)] if len(frame) else []
    return [Page("information.html", "information.html", "What models know", {"tasks": tasks}, {})]


def _matrix(task: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Skill by model and view, with its interval."""
    views = list(dict.fromkeys(rows["view"]))
    models = list(dict.fromkeys(rows["model"]))
    cells = {(row["model"], row["view"]): row for row in rows.to_dict("records")}
    return {
        "task": task,
        "views": views,
        "rows": [{"model": model, "cells": [_skill(cells.get((model, view))) for view in views]} for model in models],
    }


def _skill(row: dict[Any, Any] | None) -> dict[str, Any] | None:
    if row is None or pd.isna(row["skill"]):
        return None
    skill = float(row["skill"])
    interval = "" if pd.isna(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
    return {"text": f"{skill:.2f}", "interval": interval, "shade": min(max(int(skill * 5), 0), 4)}


def cost_pages(content: Content) -> list[Page]:
    """The page ``costs.html``: what a fit takes, and what its score is."""
    sections, drawn = [], {}
    for k, board in enumerate(content.boards):
        if (chart := charts.cost_chart(board)) is not None:
            drawn[f"costs-{k}"] = chart
        mine = content.scores[(content.scores["task"] == board.task) & (content.scores["data"] == board.data)]
        once = mine.drop_duplicates("key").groupby("configuration")
        means = once[["featurise_seconds", "fit_seconds", "predict_seconds", "memory_mb"]].mean()
        rows = []
        for entry in board.entries:
            if entry.source != OURS or entry.configuration not in means.index:
                continue
            cost = means.loc[entry.configuration].astype(float).to_dict()
            rows.append(
                {
                    "title": full_title(entry),
                    "link": content.links.model(entry),
                    "score": score_text(entry, METRICS[board.metric]),
                    "mean": entry.scores[board.metric].mean if board.metric in entry.scores else None,
                    "featurise": cost["featurise_seconds"],
                    "fit_text": seconds_text(board, entry),
                    "fit": cost["fit_seconds"],
                    "predict": cost["predict_seconds"],
                    "memory": cost["memory_mb"],
                    "parameters": entry.parameters,
                    "hardware": ", ".join(sorted(entry.hardware)),
                }
            )
        if not rows:
            continue
        sections.append(
            {
                "id": f"costs-{k}",
                "title": heading(board),
                "link": content.links.boards[k],
                "metric": metric_title(METRICS[board.metric], board.unit),
                "rows": rows,
            }
        )
    return [Page("costs.html", "costs.html", "Costs", {"sections": sections}, drawn)]


def method_pages(content: Content) -> list[Page]:
    """The page ``method.html``: how the numbers are made, and what they do not say."""
    return [Page("method.html", "method.html", "Method and caveats", {"kinds": list(Sees)}, {})]


def model_list_pages(content: Content) -> list[Page]:
    """The page ``models.html``: all models, ours first."""
    kinds: dict[tuple[str, str], set[Sees]] = {}
    tasks: dict[tuple[str, str], set[str]] = {}
    for board in content.boards:
        for entry in board.entries:
            model = (entry.source, entry.model_name or entry.model)
            kinds.setdefault(model, set()).add(entry.sees)
            tasks.setdefault(model, set()).add(board.task)
    rows = [
        {
            "name": name,
            "source": source,
            "ours": source == OURS,
            "link": link,
            "kinds": [kind for kind in Sees if kind in kinds[source, name]],
            "tasks": len(tasks[source, name]),
        }
        for (source, name), link in content.links.models.items()
    ]
    return [Page("models.html", "models.html", "Models", {"models": rows}, {})]
