"""Checks of the columns of a frame."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from crystalbench.errors import DataError
from crystalbench.targets import OFFICIAL


def require_columns(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that a frame has some columns.

    Args:
        frame: the frame.
        columns: names that must be there.
        what: the frame's name in the message, e.g. ``scores``.

    Raises:
        DataError: a column is missing.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DataError(
            f"the {what} frame has no column {', '.join(missing)}; pass the frame `{what}` of "
            "crystalbench.results.load_results, or one with the same columns"
        )


def standard_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs on the official folds that learned from the complete training part.

    Frames without the columns ``fold_scheme`` and ``train_fraction`` have no other runs.
    """
    if "fold_scheme" in frame:
        frame = frame[frame["fold_scheme"] == OFFICIAL]
    return frame[frame["train_fraction"] == 1] if "train_fraction" in frame else frame
