"""Entries in a frame of runs or predictions: their titles, and how to find one by its title."""

from __future__ import annotations

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError, UnknownNameError

ENTRY = ["model", "protocol", "view", "configuration"]
"""Columns that identify an entry: runs that differ in fold and seed only."""

_SHORT = 8
"""Characters of a configuration in messages, and the fewest that identify it."""


def title_of(model: str, protocol: str, view: str) -> str:
    """Title of an entry: the model, with protocol and view if they are not the usual ones: ``cgcnn (tuned)``."""
    unusual = [part for part, usual in ((protocol, "default"), (view, FULL)) if part != usual]
    return f"{model} ({', '.join(unusual)})" if unusual else model


def entries(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per entry of a frame.

    Returns:
        A frame with the columns ``model``, ``protocol``, ``view``, ``configuration``, ``title`` and ``unique``, which
        is the title or, if several configurations have it, the title with the start of the configuration.
    """
    found = frame[ENTRY].drop_duplicates().reset_index(drop=True)
    found["title"] = [title_of(*row) for row in found[ENTRY[:3]].itertuples(index=False)]
    several = found["title"].duplicated(keep=False)
    found["unique"] = found["title"].where(~several, found["title"] + " " + found["configuration"].str[:_SHORT])
    return found


def find_entry(frame: pd.DataFrame, name: str) -> tuple[str, pd.DataFrame]:
    """The rows of one entry.

    Args:
        frame: predictions or scores of one task.
        name: title of the entry, such as ``cgcnn``, ``cgcnn (tuned)`` or ``cgcnn (anonymous)``; or at least the
            first eight characters of its configuration.

    Returns:
        The title of the entry and its rows.

    Raises:
        UnknownNameError: there is no such entry.
        ConfigError: several configurations have this title.
    """
    known = entries(frame)
    chosen = known[(known["title"] == name) | (known["unique"] == name)]
    if chosen.empty and len(name) >= _SHORT:
        chosen = known[known["configuration"].str.startswith(name)]
    if chosen.empty:
        raise UnknownNameError("entry", name, known["unique"])
    if len(chosen) > 1:
        short = chosen["configuration"].str[:_SHORT]
        listing = ", ".join(f"{of}{_data_of(frame, of)}" for of in short)
        raise ConfigError(
            f"{name!r} has {len(chosen)} configurations here; name one of them by its configuration: {listing}"
        )
    row = chosen.iloc[0]
    same = (frame["configuration"] == row["configuration"]) & (frame["model"] == row["model"])
    return str(row["title"]), frame[same]


def _data_of(frame: pd.DataFrame, configuration: str) -> str:
    """The start of the digest of a configuration's data, if the frame has several."""
    if "data" not in frame or frame["data"].nunique() < 2:
        return ""
    return f" (data {frame.loc[frame['configuration'].str.startswith(configuration), 'data'].iloc[0][:_SHORT]})"
