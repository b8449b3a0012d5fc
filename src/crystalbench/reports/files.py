"""Leaderboards as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import Board
from crystalbench.reports.csv import across_to_csv, pairs_to_csv, slices_to_csv, to_csv
from crystalbench.reports.markdown import to_markdown


def write_slices(frame: pd.DataFrame, folder: Path) -> Path:
    """Write ``slices.csv``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    path = folder / "slices.csv"
    try:
        write_text(path, slices_to_csv(frame))
    except OSError as error:
        raise CrystalBenchError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def write_leaderboards(boards: Sequence[Board], folder: Path) -> list[Path]:
    """Write ``leaderboard.csv``, ``leaderboard.md``, ``pairs.csv`` and ``across.csv``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    files = {
        "leaderboard.csv": to_csv(boards),
        "leaderboard.md": to_markdown(boards),
        "pairs.csv": pairs_to_csv(boards),
        "across.csv": across_to_csv(boards),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_text(folder / name, text)
    except OSError as error:
        raise CrystalBenchError(f"{folder}: the leaderboard cannot be written ({error.strerror or error})") from error
    return [folder / name for name in files]
