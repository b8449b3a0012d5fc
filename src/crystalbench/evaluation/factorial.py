"""Variants of a model: the difference of each from a reference, and the effects of their parts.

A contrast compares the mean over some variants with the mean over others, fold by fold, so that an effect of one part
of a model is averaged over the settings of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.significance import CorrectedTest, FoldScores, holm, paired_test

VARIANT_COLUMNS = ("task", "variant", "mae", "difference", "p", "seeds", "low", "high", "p_holm", "folds", "metric")
"""Columns of variants and contrasts as a frame; ``mae`` is the score in ``metric``, the main one of the task."""


@dataclass(frozen=True)
class Contrast:
    """The mean over some variants minus the mean over others.

    Attributes:
        name: what it is the effect of.
        plus: labels of the variants with the part.
        minus: labels of those without it.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]


def variants_frame(boards: Iterable[Board], reference: str, contrasts: Sequence[Contrast] = ()) -> pd.DataFrame:
    """Differences of all variants from a reference, and contrasts, with corrected paired t-tests.

    Holm's correction is for the variants of a task together, and for its contrasts together. Only folds and seeds that
    all variants of a contrast have are used for it; a contrast of which a variant is missing is left out.

    Args:
        boards: boards whose entries are variants; the dummy and published entries are left out.
        reference: label of the variant that is subtracted; boards without it have scores only.
        contrasts: effects to test.

    Returns:
        A frame with the columns `VARIANT_COLUMNS`: for each task the reference (without a test), the other variants,
        and the contrasts, whose ``mae`` is NaN. ``seeds`` is the smallest number of seeds on a fold.
    """
    rows: list[tuple[object, ...]] = []
    for board in boards:
        ours = {e.model: e for e in board.entries if _is_variant(board, e)}
        untested = [reference] if reference in ours else list(ours)
        for name in untested:
            facts = _facts(board, [ours[name]])
            rows.append((board.task, name, _mean(board, ours[name]), np.nan, np.nan, *facts))
        if reference not in ours:
            continue
        others = [name for name in ours if name != reference]
        rows += _tested(board, [Contrast(name, (name,), (reference,)) for name in others], ours, scored=True)
        there = [c for c in contrasts if all(name in ours for name in (*c.plus, *c.minus))]
        rows += _tested(board, there, ours, scored=False)
    return pd.DataFrame(rows, columns=list(VARIANT_COLUMNS))


def _is_variant(board: Board, entry: Entry) -> bool:
    return entry.by_row and not entry.is_dummy and entry.source == "ours" and board.metric in entry.scores


def _mean(board: Board, entry: Entry) -> float:
    return entry.scores[board.metric].mean


def _facts(board: Board, entries: Sequence[Entry]) -> tuple[object, ...]:
    """Seeds, interval, corrected p value, folds and metric of a row without a test."""
    folds = _common(board, entries)
    seeds = min((len(e.scores[board.metric].seeds_of(f)) for e in entries for f in folds), default=0)
    return seeds, np.nan, np.nan, np.nan, len(folds), board.metric


def _common(board: Board, entries: Sequence[Entry]) -> list[int]:
    return sorted(set.intersection(*(set(e.scores[board.metric].folds) for e in entries)))


def _tested(
    board: Board, contrasts: Sequence[Contrast], ours: dict[str, Entry], *, scored: bool
) -> list[tuple[object, ...]]:
    """Rows of contrasts that have two common folds at least."""
    tests: list[tuple[Contrast, CorrectedTest, int, int]] = []
    for contrast in contrasts:
        everyone = [ours[name] for name in (*contrast.plus, *contrast.minus)]
        folds = _common(board, everyone)
        if len(folds) < 2:
            continue
        seeds = [min(len(e.scores[board.metric].seeds_of(fold)) for e in everyone) for fold in folds]
        sides = [
            _side(board, [ours[name] for name in names], folds, seeds) for names in (contrast.plus, contrast.minus)
        ]
        tests.append((contrast, paired_test(sides[0], sides[1], board.test_over_train), len(folds), min(seeds)))
    corrected = holm([float(test.p) for _, test, _, _ in tests])
    return [
        (
            board.task,
            contrast.name,
            _mean(board, ours[contrast.name]) if scored else np.nan,
            float(test.mean),
            float(test.p),
            seeds,
            float(test.low),
            float(test.high),
            float(p),
            folds,
            board.metric,
        )
        for (contrast, test, folds, seeds), p in zip(tests, corrected, strict=True)
    ]


def _side(board: Board, entries: Sequence[Entry], folds: Sequence[int], seeds: Sequence[int]) -> FoldScores:
    """Means over the entries, fold by fold and seed by seed."""
    found = []
    for fold, count in zip(folds, seeds, strict=True):
        of_entries = [entry.scores[board.metric].seeds_of(fold)[:count] for entry in entries]
        found.append([float(value) for value in np.mean(of_entries, axis=0)])
    return FoldScores.of(found)
