"""Seconds of fits, and whether they can be compared."""

from __future__ import annotations

from collections import defaultdict

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.costs import has_waited, is_comparable
from crystalbench.reports.formatting import names_text, optional

APPROXIMATE = "≈"
"""Precedes seconds that cannot be compared with the others of a board."""


def seconds_text(board: Board, entry: Entry) -> str:
    """Seconds of a fit, marked unless they were measured alone and on the hardware of most entries."""
    text = optional(entry.fit_seconds, ".1f")
    return text if is_comparable(board, entry) or not text else APPROXIMATE + text


def timing_notes(board: Board) -> list[str]:
    """Why seconds are marked."""
    timed = [entry for entry in board.entries if entry.source == OURS]
    found = []
    if shared := [entry for entry in timed if entry.concurrent is not None and entry.concurrent > 1]:
        most = max(entry.concurrent or 0 for entry in shared)
        found.append(
            f"{APPROXIMATE} measured while up to {most} processes computed runs, which take longer than alone: "
            f"{names_text(shared, timed)}."
        )
    if unknown := [entry for entry in timed if entry.concurrent is None]:
        names = names_text(unknown, timed)
        found.append(f"{APPROXIMATE} whether other runs were computed at the same time is not recorded: {names}.")
    if slowed := [entry for entry in timed if entry.concurrent == 1 and has_waited(entry)]:
        most_waited = max(entry.costs.waited or 0 for entry in slowed if entry.costs is not None)
        found.append(
            f"{APPROXIMATE} up to {most_waited:.0%} of a fit was spent waiting for a processor that other programs "
            f"used: {names_text(slowed, timed)}."
        )
    by_hardware: dict[str, list[Entry]] = defaultdict(list)
    for entry in timed:
        by_hardware[" and ".join(sorted(entry.hardware))].append(entry)
    if len(by_hardware) > 1:
        listing = "; ".join(f"{name or 'unknown'}: {names_text(of, timed)}" for name, of in by_hardware.items())
        found.append(f"{APPROXIMATE} seconds on different hardware are not comparable. {listing}.")
    return found
