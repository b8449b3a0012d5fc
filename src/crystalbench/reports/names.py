"""Names of the files of a board."""

from __future__ import annotations

from collections.abc import Sequence

from crystalbench.evaluation.board import Board
from crystalbench.reports.formatting import short_digest
from crystalbench.results.names import plain_name


def file_stems(boards: Sequence[Board]) -> list[str]:
    """A name for the files of each board: the task, with folds, rows and data where several boards would share it."""
    stems: list[str] = []
    for board in boards:
        parts = [board.task]
        parts += [] if board.is_official else [board.fold_scheme]
        parts += [f"{board.rows}-rows"] if board.is_partial else []
        parts += [] if board.is_only else [short_digest(board.data)]
        stem = plain_name("-".join(parts))
        stems.append(stem if stem not in stems else f"{stem}-{len(stems)}")
    return stems
