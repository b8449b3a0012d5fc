"""Pages of all tasks together: what models know, costs, models, and the method with its caveats."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.costs import costs_frame
from crystalbench.reports.boards import heading
from crystalbench.reports.formatting import full_title, metric_title, score_text
from crystalbench.reports.site import charts
from crystalbench.reports.site.content import Content
from crystalbench.reports.site.pages.page import Page
from crystalbench.reports.timing import seconds_text
from crystalbench.sees import Sees
from crystalbench.targets import METRICS


def information_pages(content: Content) -> list[Page]:
    """The page ``information.html``: what probes report."""
    return [Page("information.html", "information.html", "What models know", {"probed": content.probed}, {})]


def cost_pages(content: Content) -> list[Page]:
    """The page ``costs.html``: what a fit takes, and what its score is."""
    sections, drawn = [], {}
    for k, board in enumerate(content.boards):
        if (chart := charts.cost_chart(board)) is not None:
            drawn[f"costs-{k}"] = chart
        entries = {full_title(entry): entry for entry in board.entries}
        frame = costs_frame(board)
        if frame.empty:
            continue
        sections.append(
            {
                "id": f"costs-{k}",
                "title": heading(board),
                "link": content.links.boards[k],
                "metric": metric_title(METRICS[board.metric], board.unit),
                "rows": [_cost(content, board, entries[str(row["model"])], row) for row in frame.to_dict("records")],
            }
        )
    return [Page("costs.html", "costs.html", "Costs", {"sections": sections}, drawn)]


def _cost(content: Content, board: Board, entry: Entry, row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "title": full_title(entry),
        "link": content.links.model(entry),
        "score": score_text(entry, METRICS[board.metric]),
        "mean": None if pd.isna(row["score"]) else float(row["score"]),
        "featurise": float(row["featurise_seconds"]),
        "fit_text": seconds_text(board, entry),
        "fit": float(row["fit_seconds"]),
        "predict": float(row["predict_seconds"]),
        "memory": float(row["memory_mb"]),
        "parameters": entry.parameters,
        "hardware": f"{row['device']}, {row['hardware']}",
        "pareto": not pd.isna(row["pareto"]) and bool(row["pareto"]),
    }


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
