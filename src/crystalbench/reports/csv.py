"""Leaderboards as CSV, for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crystalbench.errors import DataError
from crystalbench.evaluation.across import across_frame, groups_across
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.board_frames import COLUMNS, PAIR_COLUMNS, boards_frame, pairs_frame

__all__ = ["COLUMNS", "PAIR_COLUMNS", "across_to_csv", "frame_to_csv", "pairs_to_csv", "read_frame", "to_csv"]


def to_csv(boards: Sequence[Board]) -> str:
    """One row per task, entry and metric; eight significant digits of scores, hundredths of seconds."""
    return _csv(boards_frame(boards))


def pairs_to_csv(boards: Sequence[Board]) -> str:
    """One row per pair of entries of a board; eight significant digits of differences, four of p values."""
    return _csv(pairs_frame(boards))


def across_to_csv(boards: Sequence[Board]) -> str:
    """One row per entry that is compared across tasks; eight significant digits of scores, four of p values."""
    return _csv(across_frame(groups_across(boards)[0]))


def _csv(frame: pd.DataFrame) -> str:
    texts = {name: [_FORMATS.get(name, str)(value) for value in frame[name].astype(object)] for name in map(str, frame)}
    return pd.DataFrame(texts).to_csv(index=False, lineterminator="\n")


def frame_to_csv(frame: pd.DataFrame) -> str:
    """A frame with its columns; eight significant digits, and nothing for a missing value."""
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.8g")


def read_frame(path: Path) -> pd.DataFrame:
    """A frame that was written as CSV.

    Raises:
        DataError: the file cannot be read as a table.
    """
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); delete it and write it again") from error


def _optional(spec: str) -> Callable[[Any], str]:
    """A function that formats a number and leaves a missing one empty."""
    return lambda value: "" if pd.isna(value) else f"{value:{spec}}"


def _optional_flag(value: Any) -> str:
    """``true`` or ``false``; a missing value is left empty."""
    return "" if pd.isna(value) else str(bool(value)).lower()


_SCORE, _SECONDS, _COUNT, _P = _optional(".8g"), _optional(".2f"), _optional("d"), _optional(".4g")

_FORMATS: dict[str, Callable[[Any], str]] = {
    "mean": _SCORE,
    "std": _SCORE,
    "fit_seconds": _SECONDS,
    "parameters": _COUNT,
    "trials": _COUNT,
    "tuning_seconds": _SECONDS,
    "tuned_minus_default": _SCORE,
    "tuned_minus_default_std": _SCORE,
    "tuned_minus_default_by_fold": lambda folds: " ".join(f"{fold}:{_SCORE(value)}" for fold, value in folds.items()),
    "default_kept_on_folds": lambda folds: " ".join(map(str, folds)),
    "fold_numbers": lambda folds: " ".join(map(str, folds)),
    "minus_dummy": _SCORE,
    "concurrent": _COUNT,
    "defaults_chosen_here": _optional_flag,
    "featurise_seconds": _SECONDS,
    "predict_seconds": _SECONDS,
    "memory_mb": _optional(".0f"),
    "pareto": _optional_flag,
    "normalised": _SCORE,
    "average_rank": _SCORE,
    "critical_difference": _SCORE,
    "friedman_p": _P,
    "tier": _COUNT,
    "rank_low": _COUNT,
    "rank_high": _COUNT,
    "difference": _SCORE,
    "low": _SCORE,
    "high": _SCORE,
    "p_corrected": _P,
    "p_holm": _P,
    "resolved": lambda resolved: str(bool(resolved)).lower(),
}
