"""Tables of costs and of entries across tasks in Markdown, CSV and on screen, and the column of tiers."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest
from helpers import record
from rich.console import Console

from crystalbench.evaluation.across import groups_across
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.reports.across import across_markdown, left_out_text, ranks_text
from crystalbench.reports.boards import TIER, header
from crystalbench.reports.costs import cost_table, explanation
from crystalbench.reports.csv import across_to_csv, to_csv
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.notes import notes
from crystalbench.reports.screen import screen_across, screen_table
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record, Timings


def runs(task: str, label: str, score: float, fit: float = 1.0, **changes: Any) -> list[Record]:
    seconds = Timings(featurise=3.0, fit=fit, predict=0.25)
    made: dict[str, Any] = {"task": task, "label": label, "model": label, "seconds": seconds, **changes}
    noise = [0.02 * math.sin(fold * len(label)) for fold in range(5)]
    return [record(score + 0.01 * fold + noise[fold], fold=fold, **made) for fold in range(5)]


@pytest.fixture
def boards() -> list[Board]:
    records: list[Record] = []
    for task in ("x", "y", "z"):
        records += [*runs(task, "a|b", 1.0, 50.0, concurrent=2), *runs(task, "quick", 1.001, 5.0)]
        records += [*runs(task, "dummy", 9.0, 0.1), *runs(task, "worse", 3.0, 60.0)]
    return leaderboards(scores_frame([*records, *runs("no dummy", "quick", 1.0)]))


def test_the_tier_stands_next_to_the_name_and_is_explained(boards: list[Board]) -> None:
    board = boards[1]
    assert header(board)[:3] == ["#", "model", TIER]
    text = to_markdown([board])
    assert "| 1 | **a\\|b** | 1 | " in text
    assert "| 2 | **quick** | 1 | " in text
    assert "| 3 | **worse** | 2 | " in text
    (note,) = [note for note in notes(board) if "tier" in note]
    assert note.endswith("2 of 4 ranked entries are in tier 1.")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen_table(board, 80))
    assert " tier " in console.export_text()


def test_a_board_where_nothing_was_tested_has_no_tiers(boards: list[Board]) -> None:
    lone = boards[0]
    assert not lone.has_tiers
    assert TIER not in header(lone)
    assert lone.tier_of(lone.entries[0]) is None
    assert not any("tier" in note for note in notes(lone))


def test_the_costs_name_the_pareto_optimal_entries(boards: list[Board]) -> None:
    board = boards[1]
    titles, rows = cost_table(board)
    cells = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert list(cells) == ["a|b", "quick", "worse", "dummy"]
    assert cells["quick"]["featurise (s)"] == "3.0"
    assert cells["quick"]["predict (s)"] == "0.25"
    assert cells["quick"]["memory (MB)"] == "100"
    assert cells["a|b"]["fit (s)"] == "≈50.0"
    assert {name: row["Pareto-optimal"] for name, row in cells.items()} == {
        "a|b": "yes",
        "quick": "yes",
        "worse": "",
        "dummy": "",
    }
    assert "fastest first: quick, a|b. Seconds marked ≈ are not comparable" in explanation(board)
    assert "| a\\|b | 1.019 | ≈3.0 | ≈50.0 |" in to_markdown([board])


def test_the_costs_are_in_the_csv_file(boards: list[Board]) -> None:
    rows = [row for row in csv.DictReader(io.StringIO(to_csv(boards[1:2]))) if row["metric"] == "mae"]
    assert [row["pareto"] for row in rows] == ["true", "true", "false", "false"]
    assert rows[1]["featurise_seconds"] == "3.00"
    assert (rows[1]["memory_mb"], rows[1]["device"]) == ("100", "cpu")
    others = [row for row in csv.DictReader(io.StringIO(to_csv(boards[1:2]))) if row["metric"] != "mae"]
    assert {row["pareto"] for row in others} == {""}


def test_entries_across_tasks_are_in_markdown_csv_and_on_screen(boards: list[Board]) -> None:
    text = to_markdown(boards)
    section = text.partition("## Across tasks")[2]
    assert "Left out: no dummy: has no dummy, by which scores are normalised" in section
    assert "3 entries on 3 tasks (x, y, z)." in section
    assert "| **a\\|b** | 0.113 | 1.00 | 3 of 3 | 0.113 | 0.113 | 0.113 | ours |" in section
    assert "| **dummy** | 1.000 | – | 0 of 3 |" in section
    rows = list(csv.DictReader(io.StringIO(across_to_csv(boards))))
    assert [row["model"] for row in rows] == ["a|b", "quick", "worse", "dummy"]
    assert [row["average_rank"] for row in rows] == ["1", "2", "3", ""]
    assert float(rows[0]["critical_difference"]) == pytest.approx(2.343 * (3 * 4 / 18) ** 0.5, abs=1e-3)
    (group,), _ = groups_across(boards)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen_across(group))
    assert "a|b" in console.export_text()


def test_ranks_that_are_closer_than_the_critical_difference_are_not_told_apart() -> None:
    records = [r for task in "xy" for r in (*runs(task, "a", 1.0), *runs(task, "b", 2.0), *runs(task, "dummy", 9.0))]
    (group,), left_out = groups_across(leaderboards(scores_frame(records)))
    assert ranks_text(group).endswith("no two entries can be told apart.")
    assert left_out_text(left_out) == ""
    lone = [r for task in "xy" for r in (*runs(task, "a", 1.0), *runs(task, "dummy", 9.0))]
    (group,), _ = groups_across(leaderboards(scores_frame(lone)))
    assert "too few entries for average ranks" in ranks_text(group)
    assert across_markdown([], {}) == []
