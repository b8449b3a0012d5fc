"""What the entries of a board see: the kinds of the published ones, and the best entry of each kind."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass

import pandas as pd

from crystalbench.evaluation.board import Board, Entry
from crystalbench.sees import Hidden, Sees, seen

FILE = "known_kinds.csv"
"""Name of the packaged table of what published algorithms and our own models see, with its sources."""

COMPOSITION_TASKS = frozenset({"matbench_steels", "matbench_expt_gap", "matbench_expt_is_metal", "matbench_glass"})
"""The tasks of Matbench that have compositions only: an algorithm sees no structure there."""

HISTORY = " [history]"
"""Ending of the names of submissions that are in the repository's history only."""


def kind_of(algorithm: str, task: str) -> Sees:
    """What a published algorithm, or a registered model with its defaults, sees of a task; undeclared if not known.

    Args:
        algorithm: the submission's own name, or the name of a registered model.
        task: name of the task.
    """
    kind = _kinds().get(algorithm.removesuffix(HISTORY), Sees.UNDECLARED)
    return seen(kind, {Hidden.STRUCTURE} if task in COMPOSITION_TASKS else set())


@functools.cache
def _kinds() -> dict[str, Sees]:
    file = importlib.resources.files("crystalbench.evaluation") / "data" / FILE
    with file.open("r", encoding="utf-8") as stream:
        table = pd.read_csv(stream, comment="#")
    return {str(name): Sees(kind) for name, kind in zip(table["algorithm"], table["sees"], strict=True)}


@dataclass(frozen=True)
class BestOfKind:
    """The best entry of a kind on a board.

    Attributes:
        kind: what its entries saw.
        entry: the best of them.
        rank: its rank among all entries of the board.
        entries: number of ranked entries of the kind.
    """

    kind: Sees
    entry: Entry
    rank: int
    entries: int


def best_of_kinds(board: Board) -> list[BestOfKind]:
    """The best ranked entry of each kind, ours and published ones together, in the order of `Sees`."""
    ranked = [entry for entry in board.entries if board.is_ranked(entry)]
    found = []
    for kind in Sees:
        ranks = [rank for rank, entry in enumerate(ranked, 1) if entry.sees is kind]
        if ranks:
            found.append(BestOfKind(kind, ranked[ranks[0] - 1], ranks[0], len(ranks)))
    return found
