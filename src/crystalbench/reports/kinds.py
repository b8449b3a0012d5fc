"""The best entry of each kind of input on a board, for Markdown and screen."""

from __future__ import annotations

from crystalbench.evaluation.board import Board
from crystalbench.evaluation.kinds import best_of_kinds
from crystalbench.reports.boards import score_title
from crystalbench.reports.formatting import full_title, score_text
from crystalbench.targets import METRICS

EXPLANATION = "Best entry of each kind of input:"


def kind_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Titles and rows; no rows unless the board has ranked entries of two kinds. The last cell is the source."""
    metric = METRICS[board.metric]
    titles = ["sees", "best entry", score_title(board, metric), "#", "of this kind", "source"]
    found = best_of_kinds(board)
    if len(found) < 2:
        return titles, []
    rows = [
        [
            best.kind.label,
            full_title(best.entry),
            score_text(best.entry, metric),
            str(best.rank),
            str(best.entries),
            best.entry.source,
        ]
        for best in found
    ]
    return titles, rows
