"""Leaderboards as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import Board
from crystalbench.reports.by_rows import ByRows
from crystalbench.reports.ceiling import ceiling_markdown
from crystalbench.reports.conformal import conformal_markdown
from crystalbench.reports.csv import across_to_csv, frame_to_csv, pairs_to_csv, to_csv
from crystalbench.reports.markdown import to_markdown


def write_frame(name: str, frame: pd.DataFrame, folder: Path, page: str | None = None) -> list[Path]:
    """Write a frame as ``NAME.csv``, and perhaps a page about it as ``NAME.md``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    texts = {f"{name}.csv": frame_to_csv(frame)} | ({} if page is None else {f"{name}.md": page})
    for file, text in texts.items():
        try:
            write_text(folder / file, text)
        except OSError as error:
            raise CrystalBenchError(f"{folder / file}: cannot be written ({error.strerror or error})") from error
    return [folder / file for file in texts]


def write_by_rows(found: ByRows, folder: Path) -> list[Path]:
    """Write ``slices.csv``, ``conformal.csv`` and ``ceiling.csv``, the last two with pages; nothing of empty frames.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    paths = [] if found.slices.empty else write_frame("slices", found.slices, folder)
    if len(found.conformal):
        paths += write_frame("conformal", found.conformal, folder, conformal_markdown(found.conformal))
    if len(found.ceiling):
        paths += write_frame("ceiling", found.ceiling, folder, ceiling_markdown(found.ceiling))
    return paths


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
