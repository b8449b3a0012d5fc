"""Leaderboards on screen."""

from __future__ import annotations

import io
import re

import pytest
from helpers import tuned_record
from rich.console import Console
from toy_boards import boards_of, folds

from crystalbench.evaluation.leaderboard import Board
from crystalbench.reports.formatting import score_text
from crystalbench.reports.notes import notes
from crystalbench.reports.screen import screen_table
from crystalbench.targets import METRICS


def rendered(board: Board, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(screen_table(board, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 100, 120, 160, 220])
def test_the_screen_table_fits_and_no_number_is_cut(boards: list[Board], width: int) -> None:
    large = boards_of(folds(123456.7, 654321.0, n_parameters=123_456_789, view="anonymous", task="large"))
    for board in [*boards, *large]:
        lines = rendered(board, width)
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert board.task in lines[0]
        for entry in board.entries:
            if entry.source == "ours":
                assert score_text(entry, METRICS[board.metric]) in text
        for line in lines:
            if "…" in line:  # only a name may be cut
                assert line.count("…") == 1
                assert "long_name" in line or "published" in line or line.index("…") < 42


@pytest.mark.parametrize("view", ["full", "anonymous"])
@pytest.mark.parametrize("width", [70, 80, 96, 100, 120])
def test_names_are_wrapped_only_at_spaces(width: int, view: str) -> None:
    names = ("descriptor_forest", "hybrid_diffraction")
    made = [tuned_record(label=name, task="mine", scheme="first_fold", view=view) for name in names]
    (board,) = boards_of([*made, *folds(2.0, 3.0, label=names[0], task="mine")])
    lines = rendered(board, width)
    assert max(map(len, lines)) <= width
    shown = [line[:40].split() for line in lines]
    for name in names:
        assert any(name in words for words in shown)


def test_names_use_all_width_that_the_numbers_leave() -> None:
    """A name that just fits is not wrapped, and the table is then as wide as the terminal."""
    (board,) = boards_of([tuned_record(1.0, label="two words", fold=fold, task="mine") for fold in range(5)])
    needed = max(map(len, rendered(board, 95)))
    lines = rendered(board, needed)
    assert max(map(len, lines)) == needed
    assert any("two words (tuned)" in line for line in lines)
    narrower = rendered(board, needed - 1)
    assert max(map(len, narrower)) < needed
    assert not any("two words (tuned)" in line for line in narrower)


def test_square_brackets_are_printed_literally() -> None:
    label = "cgcnn [/x] [wide]"
    (board,) = boards_of(folds(1.0, task="mine [red]", label=label, unit="[eV]"))
    text = "\n".join(rendered(board, 120))
    for part in ("mine [red] (", label, "MAE ([eV])"):
        assert part in text


def test_the_best_published_entry_counterparts_and_neighbours_are_shown() -> None:
    ours = {"cgcnn": 40.0, "magpie_forest": 52.0, "dummy": 324.0}
    made = [r for name, mae in ours.items() for r in folds(*[mae] * 5, model=name, label=name)]
    (board,) = boards_of(made)
    lines = rendered(board, 120)
    shown = [re.split(r"  +", line.strip())[1] for line in lines if line.rstrip().endswith("published")]
    # The best, the neighbours of our best, one more near it, and the counterparts of cgcnn and magpie_forest.
    assert shown[:1] == ["MegNet (kgcnn v2.1.0)"]
    assert {"SchNet (kgcnn v2.1.0)", "Finder_v1.2 composition-only version"} < set(shown)
    assert {"CGCNN v2019", "RF-SCM/Magpie"} < set(shown)
    assert len(shown) == 6
    assert "and 10 more published entries in leaderboard.md" in "\n".join(lines)
    assert "Published counterparts: CGCNN v2019 of cgcnn; RF-SCM/Magpie of magpie_forest." in notes(board)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_the_number_of_published_entries_can_be_chosen(boards: list[Board], count: int) -> None:
    names = [entry.model for entry in boards[1].entries if entry.source == "published"]
    table = screen_table(boards[1], 220, published=count)
    shown = [name.rstrip("‡") for name in map(str, table.columns[1].cells) if name.rstrip("‡") in names]
    assert len(shown) == min(count, len(names))
    assert shown[:1] == names[: min(count, 1)]


def test_the_view_is_shown_where_there_is_more_than_one(boards: list[Board]) -> None:
    _, whole, part = boards
    assert "anonymous" in "\n".join(rendered(whole, 120))
    assert "view" not in "\n".join(rendered(part, 120))


def test_wider_terminals_show_more_metrics(boards: list[Board]) -> None:
    assert "RMSE" not in "\n".join(rendered(boards[1], 80))
    assert "RMSE" in "\n".join(rendered(boards[1], 160))
    assert "parameters" in "\n".join(rendered(boards[1], 120))
