"""What capsules say about atoms: their element, and what is around them beyond the element.

Couplings that only repeat the element of an atom say nothing that its number does not. So a quantity counts as read
from capsules only if couplings predict it better than the element alone does, and better than the same couplings
exchanged among the atoms of an element, or those of a network that was never trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from crystalbench.evaluation.significance import FoldScores, corrected_t_test

READING_COLUMNS = ("task", "model", "view", "quantity", "value", "low", "high", "folds", "seeds", "atoms")
"""Columns of the frame of readings."""

TRAINED, UNTRAINED = "coupling_", "untrained_"
"""Prefixes of the columns of couplings: of the fitted network, and of the same one with its initial weights."""

ERROR, WITHOUT = "error", "error_without_"
"""The column of the error of the atom's crystal, and the prefix of those of its error if one capsule is deleted."""

LABELS = {"coordination": "coordination", "site_symmetry": "log_site_order"}
"""What is looked for in the couplings, and its column."""

_GROUPS = 5
_RIDGE = 1.0

Floats: TypeAlias = npt.NDArray[np.float64]


def capsule_readings(atoms: pd.DataFrame) -> pd.DataFrame:
    """Readings of the capsules of each model.

    Numbers are computed within the test part of each run, and averaged over seeds, then folds. R² is that of a ridge
    regression, predicted for crystals that it has not seen (five groups of crystals).

    Args:
        atoms: one row per atom of each run, as the probe ``capsules`` asks for: ``task``, ``model``, ``view``,
            ``configuration``, ``key``, ``fold``, ``seed``, ``rows``, ``id``, ``atom``, ``element``, ``coordination``,
            ``log_site_order``, the columns of couplings, and optionally those of errors.

    Returns:
        A frame with the columns `READING_COLUMNS`, with 95 % intervals by the corrected resampled t-test. Quantities:

        * ``entropy``: mean entropy of the couplings of an atom over that of equal couplings
        * ``element_share``: share of the variance of couplings that is between elements
        * ``coordination`` and ``site_symmetry``: R² gained by couplings over the element alone
        * ``..._untrained``, ``..._permuted``: the same with the couplings of the untrained network, and with couplings
          exchanged among the atoms of an element
        * ``..._over_untrained``, ``..._over_permuted``: the gain minus that of the control, fold by fold
        * ``seed_agreement``: adjusted Rand index of the strongest capsules of the atoms between two seeds
        * ``element_agreement``: the same between the strongest capsules and the elements
        * ``deletion``, ``largest_deletion``: by how much the error grows if one capsule is deleted, over the error: the
          mean over the capsules, and the largest
    """
    rows: list[tuple[object, ...]] = []
    if len(atoms):
        for name, part in atoms.groupby(["task", "model", "view", "configuration"], sort=True):
            task, model, view, _ = name
            seeds = int(part.groupby("fold")["seed"].nunique().min())
            facts = (part["fold"].nunique(), seeds, part[["id", "atom"]].drop_duplicates().shape[0])
            for quantity, (value, low, high) in _readings(part).items():
                rows.append((task, model, view, quantity, value, low, high, *facts))
    return pd.DataFrame(rows, columns=list(READING_COLUMNS))


def _readings(part: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Mean and interval of each quantity, from the runs of one model."""
    by_quantity: dict[str, dict[Hashable, list[float]]] = {}
    for (fold, _), run in part.groupby(["fold", "seed"], sort=True):
        for quantity, value in _of_run(run).items():
            by_quantity.setdefault(quantity, {}).setdefault(fold, []).append(value)
    for fold, value in _seed_agreements(part):
        by_quantity.setdefault("seed_agreement", {}).setdefault(fold, []).append(value)
    tested = part.groupby("fold")["id"].nunique().mean()
    ratio = float(tested / max(float(part["rows"].iloc[0]) - tested, 1.0))
    return {quantity: _interval(list(folds.values()), ratio) for quantity, folds in by_quantity.items()}


def _interval(folds: list[list[float]], test_over_train: float) -> tuple[float, float, float]:
    scores = FoldScores.of(folds)
    if len(folds) < 2:
        return float(scores.means.mean()), np.nan, np.nan
    every = np.ones(len(folds), np.bool_)
    spread = np.nan_to_num(scores.seed_variance(every) * np.mean(1 / scores.seeds))
    test = corrected_t_test(scores.means, test_over_train, spread)
    return float(test.mean), float(test.low), float(test.high)


def _of_run(run: pd.DataFrame) -> dict[str, float]:
    """The quantities of one run that need no other run."""
    run = run.sort_values(["id", "atom"], kind="stable")
    couplings, elements = _couplings(run, TRAINED), run["element"].to_numpy(np.int64)
    controls = {
        "untrained": _couplings(run, UNTRAINED),
        "permuted": couplings[_permuted_within(elements)],
    }
    found = {
        "entropy": _entropy(couplings),
        "element_share": _share_between(couplings, elements),
        "element_agreement": float(adjusted_rand_score(elements, couplings.argmax(1))),
    }
    found |= _deletions(run)
    crystals = pd.factorize(run["id"])[0]
    if crystals.max(initial=0) + 1 < _GROUPS:
        return found
    one_hot = (elements[:, None] == np.unique(elements)).astype(np.float64)
    for quantity, column in LABELS.items():
        values = run[column].to_numpy(np.float64)
        known = np.isfinite(values)  # not where the tessellation or the symmetry search has failed
        gain = _gains(values[known], one_hot[known], crystals[known])
        found[quantity] = gain(couplings[known])
        for name, control in controls.items():
            found[f"{quantity}_{name}"] = gain(control[known])
            found[f"{quantity}_over_{name}"] = found[quantity] - found[f"{quantity}_{name}"]
    return found


def _deletions(run: pd.DataFrame) -> dict[str, float]:
    """Growth of the error over the error if a capsule is deleted: the mean over the capsules, and the largest."""
    columns = [name for name in run if str(name).startswith(WITHOUT)]
    errors = run.drop_duplicates("id")[[ERROR, *columns]].dropna(axis=1, how="all").mean() if columns else pd.Series()
    if len(errors) < 2 or not errors[ERROR] > 0:
        return {}
    growth = errors.drop(ERROR) / errors[ERROR] - 1
    return {"deletion": float(growth.mean()), "largest_deletion": float(growth.max())}


def _couplings(run: pd.DataFrame, prefix: str) -> Floats:
    """(atoms, K) couplings of one run; models with fewer capsules have no numbers in the last columns."""
    columns = [name for name in run if str(name).startswith(prefix)]
    return np.asarray(run[columns].dropna(axis=1, how="all").to_numpy(np.float64))


def _entropy(couplings: Floats) -> float:
    count = couplings.shape[1]
    if count < 2:
        return 1.0
    logs = np.log(np.clip(couplings, 1e-12, None))
    return float(-(couplings * logs).sum(1).mean() / np.log(count))


def _share_between(values: Floats, groups: npt.NDArray[np.int64]) -> float:
    """Share of the variance of (atoms, K) values that is between groups; 0 if there is no variance."""
    frame = pd.DataFrame(values)
    within = frame - frame.groupby(groups).transform("mean")
    total = float(((frame - frame.mean()) ** 2).sum().sum())
    return 1 - float((within**2).sum().sum()) / total if total > 1e-12 else 0.0


def _permuted_within(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A permutation of rows within their groups, always the same for the same groups."""
    rng = np.random.default_rng(0)
    order = np.arange(len(groups))
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        order[places] = rng.permutation(places)
    return order


def _gains(values: Floats, elements: Floats, crystals: npt.NDArray[np.int64]) -> Callable[[Floats], float]:
    """A function of couplings: R² of values with elements and couplings, minus that with elements alone."""
    spread = float(((values - values.mean()) ** 2).sum())

    def explained(features: Floats) -> float:
        if not spread > 0:
            return 0.0
        found = cross_val_predict(Ridge(_RIDGE), features, values, groups=crystals, cv=GroupKFold(_GROUPS))
        return 1 - float(((values - found) ** 2).sum()) / spread

    alone = explained(elements)

    def gain(couplings: Floats) -> float:
        scale = couplings.std(0)
        scaled = (couplings - couplings.mean(0)) / np.where(scale > 1e-9, scale, 1.0)
        return explained(np.concatenate([elements, scaled], axis=1)) - alone

    return gain


def _seed_agreements(part: pd.DataFrame) -> Iterator[tuple[Hashable, float]]:
    """For each fold and pair of seeds, the agreement of the strongest capsules of the atoms."""
    for fold, runs in part.groupby("fold", sort=True):
        clusters = [
            pd.Series(_couplings(run, TRAINED).argmax(1), index=pd.MultiIndex.from_frame(run[["id", "atom"]]))
            for _, run in runs.groupby("seed", sort=True)
        ]
        for one, other in itertools.combinations(clusters, 2):
            yield fold, float(adjusted_rand_score(one, other.reindex(one.index)))
