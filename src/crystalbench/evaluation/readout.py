"""How much of a reduction of the error by descriptors is the size of the cell.

Gong et al. (Sci. Adv. 9, eadi3245, 2023) report that descriptors remove about 90 % of the error of graph networks for
two properties per cell. A network that averages over atoms does not know their number, which is one of the descriptors.
So the network is compared with itself with the number of atoms alone, other parts of the descriptors, and a sum over
atoms, over several splits and seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.configurations import newest
from crystalbench.evaluation.significance import FoldScores, paired_test
from crystalbench.evaluation.skill import Interval

PER_CELL, PER_ATOM = "per cell", "per atom"
PER_CELL_END, PER_ATOM_END = "_per_cell", "_per_atom"
ENDS = (PER_CELL_END, PER_ATOM_END)
"""Ends of the names of tasks with the same target per cell and per atom."""

_SUFFIXES = {PER_CELL_END: PER_CELL, PER_ATOM_END: PER_ATOM}

NETWORK, HYBRID = "cgcnn", "hybrid"
"""Names of the models: the network, and the same with descriptors."""

NONE, ALL, COUNT = "none", "gong28", "atom_count"
"""Descriptors beside the embedding: none, the 28 of the paper, and the number of atoms."""

SHARE = 0.95
"""The count alone explains the reduction if it gives at least this share of the reduction by all 28 descriptors."""

HOLDS, FAILS, UNRESOLVED = "holds", "fails", "unresolved"
"""Verdicts on "the reduction is extensivity"."""

COLUMNS = (
    *("target", "label", "model", "readout", "descriptors", "mae", "low", "high", "seeds"),
    *("folds", "reduction", "reduction_low", "reduction_high", "share", "share_low", "share_high"),
    *("unit", "rows", "rows_total", "fold_scheme"),
)

_NEEDED = (
    *("task", "model", "model_name", "view", "protocol", "fold", "seed", "metric", "score", "unit", "settings", "key"),
    *("rows", "rows_total", "rows_train", "rows_valid", "rows_test", "fold_scheme", "train_fraction", "source"),
)
_Losses = Mapping[int, list[float]]
_UNDEFINED = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True, eq=False)
class _Variant:
    """A network with some descriptors and a readout.

    Attributes:
        name: its name in tables.
        readout: ``mean`` or ``sum``; empty for other models.
        descriptors: the bank, or `NONE`.
        losses: errors by fold, one for each seed.
    """

    name: str
    readout: str
    descriptors: str
    losses: _Losses


def readout(scores: pd.DataFrame) -> pd.DataFrame:
    """Errors of the variants of a network, and what part of its error each removes.

    Tasks are those whose names end in ``_per_cell`` or ``_per_atom``; variants are `cgcnn` and `hybrid` by readout and
    bank of descriptors, and the dummy. Boards without plain `cgcnn` are left out.

    Args:
        scores: one row per run and metric, e.g. ``load_results("results").scores``.

    Returns:
        A frame with the columns `COLUMNS`:

        * ``target``, ``label``: the task without its suffix, and the suffix
        * ``mae``, ``low``, ``high``: mean absolute error with its interval over folds and seeds (corrected t-test)
        * ``reduction`` with its interval: 1 − L/P, where P is the error of the plain network (mean readout, no
          descriptors)
        * ``share`` with its interval: (P − L)/(P − H), where H is the error with all 28 descriptors; undefined unless
          the reduction P − H is resolved from zero, or there is one fold only
        * ``seeds``: the smallest number on a fold

        Intervals are NaN with fewer than two folds. Ratios are linearised, and pair models by fold and seed.

    Raises:
        DataError: a column is missing.
    """
    rows: list[dict[str, Any]] = []
    for name, runs in _runs(scores).groupby(["target", "label", "rows", "fold_scheme"], sort=True):
        found = _variants(runs)
        plain = next((v for v in found if (v.readout, v.descriptors) == ("mean", NONE)), None)
        full = next((v for v in found if (v.readout, v.descriptors) == ("mean", ALL)), None)
        if plain is None:
            continue
        first = runs.iloc[0]
        ratio = float(first["rows_test"] / (first["rows_train"] + first["rows_valid"]))
        facts: dict[str, Any] = dict(zip(("target", "label", "rows", "fold_scheme"), name, strict=True))
        facts |= {"unit": first["unit"], "rows_total": first["rows_total"]}
        rows += [facts | _row(variant, plain, full, ratio) for variant in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def verdict(low: float, high: float) -> str:
    """Whether the number of atoms alone explains the reduction, from the interval of its share.

    Returns:
        `HOLDS` if the interval is above `SHARE`, `FAILS` if it is below, and otherwise, or without an interval,
        `UNRESOLVED`.
    """
    if low >= SHARE:
        return HOLDS
    return FAILS if high < SHARE else UNRESOLVED


def _runs(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per run that counts, with target, label and loss."""
    require_columns(scores, _NEEDED, "scores")
    ours = scores["model_name"].isin((NETWORK, HYBRID, "dummy")) & (scores["source"] == "ours")
    right = (scores["metric"] == "mae") & (scores["view"] == FULL) & (scores["train_fraction"] == 1)
    suffix = scores["task"].str.extract(f"({'|'.join(_SUFFIXES)})$", expand=False)
    runs = scores.assign(label=suffix.map(_SUFFIXES))[ours & right & suffix.notna()]
    runs = newest(runs.drop_duplicates(["task", "model", "key"]))
    runs = runs.assign(target=runs["task"].str.replace(r"_per_(cell|atom)$", "", regex=True))
    return runs.sort_values(["fold", "seed", "key"], kind="stable")


def _variants(runs: pd.DataFrame) -> list[_Variant]:
    found = []
    for name, mine in runs.groupby("entry", sort=True):
        settings = json.loads(mine["settings"].iloc[0])
        losses: dict[int, list[float]] = {}
        for fold, loss in zip(mine["fold"], mine["score"], strict=True):
            losses.setdefault(int(fold), []).append(float(loss))
        found.append(_Variant(str(name), settings.get("readout", ""), settings.get("bank", NONE), losses))
    return found


def _row(variant: _Variant, plain: _Variant, full: _Variant | None, ratio: float) -> dict[str, Any]:
    own = _interval(variant.losses, ratio)
    reduction = share = _UNDEFINED
    if variant is not plain:
        reduction = _quotient(_differences(plain, variant), _differences(plain), ratio)
        if full is not None and _resolved(_differences(plain, full), ratio):
            share = _quotient(_differences(plain, variant), _differences(plain, full), ratio)
    return {
        "model": variant.name,
        "readout": variant.readout,
        "descriptors": variant.descriptors,
        "mae": own.value,
        "low": own.low,
        "high": own.high,
        "seeds": min(map(len, variant.losses.values())),
        "folds": len(variant.losses),
        "reduction": reduction.value,
        "reduction_low": reduction.low,
        "reduction_high": reduction.high,
        "share": share.value,
        "share_low": share.low,
        "share_high": share.high,
    }


def _differences(plain: _Variant, other: _Variant | None = None) -> _Losses:
    """Errors of the plain network minus those of another one, by fold and seed; its own without another one.

    A model without randomness has one seed, which is compared with all of the network's.
    """
    if other is None:
        return plain.losses
    found = {}
    for fold in sorted(set(plain.losses) & set(other.losses)):
        mine, theirs = plain.losses[fold], other.losses[fold]
        if len(theirs) == 1:
            theirs = theirs * len(mine)
        found[fold] = [a - b for a, b in zip(mine, theirs, strict=False)]
    return found


def _quotient(numerators: _Losses, denominators: _Losses, ratio: float) -> Interval:
    """The quotient of two means over the same folds and seeds, linearised."""
    folds = sorted(set(numerators) & set(denominators))
    if not folds:
        return _UNDEFINED
    scale = float(np.mean([np.mean(denominators[fold]) for fold in folds]))
    value = float(np.mean([np.mean(numerators[fold]) for fold in folds])) / scale
    pairs = {fold: zip(numerators[fold], denominators[fold], strict=False) for fold in folds}
    return _interval({fold: [value + (a - value * b) / scale for a, b in pairs[fold]] for fold in folds}, ratio, value)


def _resolved(differences: _Losses, ratio: float) -> bool:
    """Whether a reduction may be divided by: above zero, as far as one can tell."""
    if not differences:
        return False
    found = _interval(differences, ratio)
    return found.value > 0 if np.isnan(found.low) else found.low > 0


def _interval(losses: _Losses, ratio: float, value: float | None = None) -> Interval:
    scores = FoldScores.of(list(losses.values()))
    mean = float(scores.means.mean()) if value is None else value
    if len(losses) < 2:
        return Interval(mean, np.nan, np.nan)
    zeros = np.zeros(len(losses))
    test = paired_test(scores, FoldScores(zeros, np.full(len(losses), np.nan), zeros + 1), ratio)
    return Interval(mean, float(test.low), float(test.high))
