"""What descriptors add for properties of the cell, as text."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from crystalbench.evaluation.readout import ALL, COUNT, FAILS, HOLDS, NONE, PER_CELL, SHARE, verdict
from crystalbench.reports.formatting import MISSING, format_spec, size_text
from crystalbench.reports.sections import Cell, Section, estimate

_TITLES = ("model", "readout", "descriptors", "MAE", "reduction", "share of the reduction by all 28", "folds × seeds")
_WORDS = {
    HOLDS: "The reduction is extensivity: the number of atoms alone gives at least {limit:.0f} % of it",
    FAILS: "The reduction is more than extensivity: the number of atoms alone gives less than {limit:.0f} % of it",
}


def readout_sections(table: pd.DataFrame) -> list[Section]:
    """A table for each target, per cell and per atom, with the verdict.

    Args:
        table: as of `crystalbench.evaluation.readout.readout`.
    """
    sections = []
    for _, mine in table.groupby(["target", "label", "fold_scheme", "rows"], sort=True):
        first = mine.iloc[0]
        heading = f"{first['target']} {first['label']} ({size_text(first)}), errors in {first['unit']}"
        cells = [_cells(row) for row in mine.to_dict("records")]
        sections.append(Section(heading, _TITLES, cells, [sentence(mine)]))
    return sections


def sentence(mine: pd.DataFrame) -> str:
    """What the rows of one target say.

    Per cell, this is the verdict on the number of atoms. Per atom, where the size of the cell does not matter, it is
    what descriptors add.
    """
    plain = mine[(mine["readout"] == "mean") & (mine["descriptors"] == NONE)]
    full, count = (mine[(mine["readout"] == "mean") & (mine["descriptors"] == name)] for name in (ALL, COUNT))
    if full.empty:
        return f"No verdict: {plain['model'].iloc[0]} with the 28 descriptors was not run."
    gain = f"The 28 descriptors remove {_percent(full.iloc[0], 'reduction')} of the error."
    if mine["label"].iloc[0] != PER_CELL:
        return gain
    if count.empty:
        return f"{gain} No verdict: the network with the number of atoms was not run."
    row = count.iloc[0]
    if math.isnan(row["share"]):
        return f"{gain} No verdict: this is not resolved from zero, so that nothing has a share of it."
    found = verdict(row["share_low"], row["share_high"])
    limit = 100 * SHARE
    words = _WORDS.get(found, "Whether the number of atoms alone gives {limit:.0f} % of the reduction is not resolved")
    return f"{gain} {words.format(limit=limit)} ({_percent(row, 'share')})."


def _cells(row: Any) -> list[str | Cell]:
    return [
        str(row["model"]),
        row["readout"] or MISSING,
        row["descriptors"],
        estimate(row["mae"], row["low"], row["high"], format_spec(row["mae"])),
        _percent(row, "reduction"),
        _percent(row, "share"),
        f"{row['folds']} × {row['seeds']}",
    ]


def _percent(row: Any, name: str) -> str | Cell:
    value, low, high = (100 * float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return estimate(value, low, high, "z.1f", " %")
