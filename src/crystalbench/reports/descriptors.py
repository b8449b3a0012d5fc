"""What models know of descriptors, as text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from crystalbench.evaluation.descriptors import CONTROL, END_TO_END, FLOOR, FLOORS, LEAST_SPREAD, LINEAR, MODES
from crystalbench.reports.formatting import MISSING, size_text
from crystalbench.reports.sections import Section, estimate

TITLES = {
    END_TO_END: "trained on it",
    LINEAR: "linear probe",
    FLOOR: "composition and volume",
    "untrained": "before training",
    CONTROL: "shuffled (control)",
}
"""What each mode is called in tables."""

EXPLANATION = (
    "Numbers are R² on the test parts: 1 if a descriptor is known exactly, 0 for a constant. A linear probe reads it "
    "from the embedding of a network that was trained on the property, and from the same network before training. "
    "Models trained on a descriptor, from crystals in canonical cells, are compared with a forest that sees "
    "composition and volume per atom."
)


def descriptor_sections(table: pd.DataFrame) -> list[Section]:
    """A table for each task, a row for each descriptor, with sentences on each model.

    Args:
        table: as of `crystalbench.evaluation.descriptors.descriptors`.
    """
    sections = []
    for _, mine in table.groupby(["task", "fold_scheme"], sort=True):
        largest = mine.sort_values("rows", kind="stable").iloc[-1]
        named = mine.assign(
            descriptor=mine["descriptor"] + " (" + mine["kind"] + ")",
            column=mine["model"] + ": " + mine["mode"].map(TITLES),
        )
        sections.append(
            Section.crossed(
                f"{largest['task']} ({size_text(largest, 'crystals')}): descriptors that models know",
                named,
                "descriptor",
                "column",
                lambda row: estimate(row["r2"], row["low"], row["high"], shaded=True),
                [*sentences(mine), *undefined(mine), *_controls(mine), EXPLANATION],
                order=[f"{model}: {TITLES[mode]}" for model, mode in columns_of(mine)],
            )
        )
    return sections


def columns_of(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of model and mode, by mode."""
    found = dict.fromkeys(zip(table["model"], table["mode"], strict=True))
    return sorted(found, key=lambda column: (MODES.index(column[1]), column[0]))


def sentences(table: pd.DataFrame) -> list[str]:
    """For each model and mode with a floor: which descriptors it knows better than the floor, and which not.

    Args:
        table: the rows of one task.
    """
    lines = []
    for mode, verb in ((END_TO_END, "learns"), (LINEAR, "training adds")):
        for model, mine in table[(table["mode"] == mode) & table["gain_low"].notna()].groupby("model", sort=True):
            better = mine.loc[mine["gain_low"] > 0, "descriptor"].tolist()
            worse = mine.loc[mine["gain_high"] < 0, "descriptor"].tolist()
            rest = [name for name in mine["descriptor"] if name not in (*better, *worse)]
            floor = TITLES[FLOORS[mode]]
            what = "more than" if mode == END_TO_END else "to what is there"
            lost = f"; less: {_names(worse)}" if worse else ""
            open_ = f"; not resolved: {_names(rest)}" if rest else ""
            lines.append(f"{model} {verb} ({what} {floor}): {_names(better)}{lost}{open_}.")
    return lines


def undefined(table: pd.DataFrame) -> list[str]:
    """Which descriptors vary too little on some folds for an R², in one line; nothing if none does.

    Args:
        table: the rows of one task.
    """
    rows = table[table["undefined"] > 0].sort_values("undefined", kind="stable")
    left_out = dict(zip(rows["descriptor"], zip(rows["undefined"], rows["folds"], strict=True), strict=True))
    if not left_out:
        return []
    named = [f"{name} ({n} of {n + folds} folds)" for name, (n, folds) in left_out.items()]
    return [
        f"No R² where a descriptor varies on the test part by less than {100 * LEAST_SPREAD:.0f} % of its standard "
        f"deviation in training ({MISSING} if on all folds): {', '.join(named)}."
    ]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _controls(table: pd.DataFrame) -> list[str]:
    """What the control says of each model, the failures first."""
    control = table[table["mode"] == CONTROL]
    lines, fine = [], []
    for model, mine in control.groupby("model", sort=True):
        above = mine.loc[mine["low"] > 0, "descriptor"].tolist()
        if above:
            lines.append(f"WARNING: linear probes of {model} know shuffled descriptors: {_names(above)}.")
        elif mine["low"].notna().any():
            fine.append(str(model))
    if fine:
        lines.append(f"Control passed (nothing read of shuffled descriptors): {_names(fine)}.")
    return lines
