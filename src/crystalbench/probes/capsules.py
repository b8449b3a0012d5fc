"""Which parts of the capsule network earn their place: directions, capsules, routing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from crystalbench.evaluation.factorial import VARIANT_COLUMNS, Contrast, variants_frame
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.probes.probe import Probe
from crystalbench.reports.formatting import MISSING, format_spec
from crystalbench.reports.sections import Section
from crystalbench.results.loading import Results

REFERENCE = "sen"
"""Label of the network with all its parts."""

_FLAT = "_without_directions"
_POOLINGS = ("learned", "uniform", "mean")
_WITH = (REFERENCE, *_POOLINGS)
_WITHOUT = (f"agreement{_FLAT}", *(f"{pooling}{_FLAT}" for pooling in _POOLINGS))

CONTRASTS = (
    Contrast("effect of directions", _WITH, _WITHOUT),
    Contrast("effect of capsules", (REFERENCE, f"agreement{_FLAT}"), ("mean", f"mean{_FLAT}")),
    Contrast("effect of routing by agreement", (REFERENCE, f"agreement{_FLAT}"), ("learned", f"learned{_FLAT}")),
    Contrast("effect of memberships", ("learned", f"learned{_FLAT}"), ("uniform", f"uniform{_FLAT}")),
)
"""Effects that the suite ``capsules`` tests, by the labels of its models."""


class Capsules(Probe):
    """The factorial of directions and poolings of `sen`: ``crystalbench probe capsules --suite capsules``."""

    name: ClassVar[str] = "capsules"
    description: ClassVar[str] = "which parts of the capsule network earn their place (--suite capsules)"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {"capsules": VARIANT_COLUMNS}
    suite: ClassVar[str] = "capsules"

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Differences of the variants from the complete network, and effects of its parts."""
        boards = [b for b in leaderboards(results.scores, results.predictions_on_other_folds) if b.is_official]
        return {"capsules": variants_frame(boards, REFERENCE, CONTRASTS)}

    def report(self, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
        """A table for each task, with what is resolved in words."""
        found = []
        for task, rows in tables["capsules"].groupby("task", sort=False):
            cells = [_cells(row) for row in rows.to_dict("records")]
            resolved = rows[rows["p_holm"] < 0.05]["variant"].tolist()
            words = f"Resolved after Holm's correction: {', '.join(resolved) or 'nothing'}."
            titles = [
                "variant",
                str(rows["metric"].iloc[0]),
                "difference",
                "95 % interval",
                "p",
                "p (Holm)",
                "folds × seeds",
            ]
            found.append(Section(f"{task}: differences from {REFERENCE}", titles, cells, [words]))
        return found


def _cells(row: Mapping[Any, Any]) -> list[str]:
    def number(name: str, sign: str = "") -> str:
        value = float(row[name])
        return MISSING if math.isnan(value) else f"{value:{sign}{format_spec(abs(value))}}"

    interval = MISSING if math.isnan(row["low"]) else f"{number('low', '+')} to {number('high', '+')}"
    p = [MISSING if math.isnan(row[name]) else f"{row[name]:.2g}" for name in ("p", "p_holm")]
    folds = f"{row['folds']} × {row['seeds']}"
    return [str(row["variant"]), number("mae"), number("difference", "+"), interval, *p, folds]
