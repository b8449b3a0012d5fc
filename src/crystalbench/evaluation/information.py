"""The information matrix: how much of its skill a model keeps under each view, and where the skill comes from.

Two chains of views divide the skill of a model with the full crystal, each without remainder:

* **elements first**: the composition alone; then the distances in one cell (of unit density, without periodicity); then
  the lattice (unit density); then the density (full).
* **elements last**: the symmetry alone; then the geometry (anonymous, unit density); then the density (anonymous); then
  the elements (full).

What two kinds of information both tell, such as elements and structure type, is credited to the one that is added
first. So the two chains give a kind of information its largest and its smallest share, and their distance is what it
shares with others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.configurations import newest
from crystalbench.evaluation.skill import Interval, Skill, skill_of
from crystalbench.sees import Sees

DUMMY = "dummy"
"""Name of the model that the skill is measured against."""

CONTROL = "shuffled_labels"
"""What the column ``view`` says of the control: the full crystal, with targets of other rows."""

_SUFFIX = f"+{CONTROL}"

CHEMISTRY, GEOMETRY, PERIODICITY, DENSITY = "chemistry", "local geometry", "periodicity and symmetry", "density"
KINDS = (CHEMISTRY, DENSITY, GEOMETRY, PERIODICITY)
"""Kinds of information."""

_COMPOSITION, _CLUSTER, _UNIT = "composition_only", "unit_density+no_periodicity", "unit_density"
_SYMMETRY, _STRUCTURE, _ANONYMOUS = "symmetry_only", "anonymous+unit_density", "anonymous"

CHAINS: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "elements first": (
        (CHEMISTRY, _COMPOSITION, None),
        (GEOMETRY, _CLUSTER, _COMPOSITION),
        (PERIODICITY, _UNIT, _CLUSTER),
        (DENSITY, FULL, _UNIT),
    ),
    "elements last": (
        (PERIODICITY, _SYMMETRY, None),
        (GEOMETRY, _STRUCTURE, _SYMMETRY),
        (DENSITY, _ANONYMOUS, _STRUCTURE),
        (CHEMISTRY, FULL, _ANONYMOUS),
    ),
}
"""For each chain, the kinds of information in the order in which they are added, with the view that has it and the view
before."""

VIEWS = (FULL, _COMPOSITION, _CLUSTER, _UNIT, _SYMMETRY, _STRUCTURE, _ANONYMOUS, "lattice_only")
"""The views of the matrix: those of the chains, and the lattice alone."""

COLUMNS = (
    *("task", "view", "model", "skill", "low", "high", "mae", "folds", "seeds"),
    *("kept", "kept_low", "kept_high", "metric", "score", "score_dummy", "unit", "rows", "rows_total", "fold_scheme"),
    *("sees", "constant", "note"),
)
SOURCE_COLUMNS = (
    *("task", "model", "information", "chain", "skill", "low", "high", "share", "folds", "seeds"),
    *("view", "view_before", "rows", "fold_scheme"),
)

_NEEDED = (
    *("task", "data", "model", "model_name", "view", "protocol", "fold", "seed", "metric", "score", "unit", "kind"),
    *("rows", "rows_total", "rows_train", "rows_valid", "rows_test", "settings", "sees", "fold_scheme"),
    *("train_fraction", "key", "source"),
)
_ENTRY = ["task", "fold_scheme", "rows", "entry"]


@dataclass(frozen=True, eq=False)
class _Seen:
    """The runs of a model under one view.

    Attributes:
        runs: one row per run.
        dummy: the runs of the dummy on the same data.
        constants: losses of the best constant by fold, if they are known.
    """

    runs: pd.DataFrame
    dummy: pd.DataFrame
    constants: Mapping[int, list[float]]

    @property
    def folds(self) -> list[int]:
        """The folds that the dummy has as well."""
        return sorted(set(self.runs["fold"]) & set(self.dummy["fold"]))

    def skill(self, folds: Sequence[int]) -> Skill | None:
        """The skill on some folds."""
        first = self.runs.iloc[0]
        ratio = first["rows_test"] / (first["rows_train"] + first["rows_valid"])
        return skill_of(_by_fold(self.runs), _by_fold(self.dummy), folds, float(ratio))

    @property
    def constant(self) -> float:
        """The skill of the best constant; NaN if it is not known."""
        if self.runs["kind"].iloc[0] != "regression":
            return 0.0  # all constants have a ROC-AUC of one half
        folds = [fold for fold in self.folds if fold in self.constants]
        skill = skill_of(self.constants, _by_fold(self.dummy), folds, 0.0)
        return np.nan if skill is None else skill.value


def _seeds(runs: pd.DataFrame) -> int:
    """The smallest number of seeds on a fold."""
    return int(runs.groupby("fold")["seed"].nunique().min())


def _by_fold(runs: pd.DataFrame) -> dict[int, list[float]]:
    losses: dict[int, list[float]] = {}
    for fold, loss in zip(runs["fold"], runs["loss"], strict=True):
        losses.setdefault(int(fold), []).append(float(loss))
    return losses


def information(scores: pd.DataFrame, predictions: pd.DataFrame | None = None) -> pd.DataFrame:
    """The information matrix: a row per task, view and model.

    Models that were run under the full view only, without the control, are left out, as is the dummy. If there are
    several versions of a model, the newest counts.

    Args:
        scores: one row per run and metric, e.g. ``load_results("results").scores``, with runs of the dummy.
        predictions: one row per predicted sample of the runs of the dummy, for the column ``constant``.

    Returns:
        A frame with the columns `COLUMNS`:

        * ``view``: the view, or ``shuffled_labels`` for the control, in which targets are exchanged among the rows
        * ``skill``, ``low``, ``high``: see `crystalbench.evaluation.skill`; NaN if undefined, ``note`` says why
        * ``mae``: mean absolute error, mean over folds and seeds, in the unit of the target; NaN for classification
        * ``folds``, ``seeds``: number of folds, smallest number of seeds on a fold
        * ``kept``, ``kept_low``, ``kept_high``: the skill as a share of that with the full crystal on the same folds;
          NaN unless the latter is resolved
        * ``metric``, ``score``, ``score_dummy``: the metric that the skill is made of (``mae`` or ``rocauc_true``), its
          mean for the model and for the dummy; ``unit`` of the target
        * ``rows``, ``rows_total``, ``fold_scheme``, ``sees``: as in the scores frame
        * ``constant``: the skill of the best constant prediction for each test part, the median of its targets. The
          dummy predicts the mean, so that a model which has learned nothing but the median is better than it; a skill
          up to this number says nothing about the input

    Raises:
        DataError: a column is missing.
    """
    entries = _entries(scores, _constants(predictions))
    rows = [_row(name, view, seen, views.get(FULL)) for name, views in entries for view, seen in views.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sources_of_skill(scores: pd.DataFrame) -> pd.DataFrame:
    """Where the skill of each model comes from: a row per task, model, kind of information and chain of views.

    Args:
        scores: as in `information`.

    Returns:
        A frame with the columns `SOURCE_COLUMNS`. ``skill`` is what the kind of information adds in this chain, with
        its interval, and ``share`` the same as a part of the skill with the full crystal, NaN unless this is resolved;
        ``view`` minus ``view_before`` is how it is computed. The skill of a model that sees the composition alone is
        chemistry by declaration, with the chain ``declared``.

    Raises:
        DataError: a column is missing.
    """
    rows: list[dict[str, Any]] = []
    for name, views in _entries(scores, {}):
        if FULL not in views:
            continue
        if views[FULL].runs["sees"].iloc[0] == Sees.COMPOSITION:
            rows.append(_source(name, views, "declared", CHEMISTRY, FULL, None))
            continue
        for chain, steps in CHAINS.items():
            for kind, view, before in steps:
                if view in views and (before is None or before in views):
                    rows.append(_source(name, views, chain, kind, view, before))
    return pd.DataFrame(rows, columns=list(SOURCE_COLUMNS))


def _constants(predictions: pd.DataFrame | None) -> dict[str, dict[int, list[float]]]:
    """Mean absolute errors of the medians of the test parts, by digest of the data and fold."""
    found: dict[str, dict[int, list[float]]] = {}
    if predictions is None or predictions.empty:
        return found
    require_columns(predictions, ["data", "kind", "fold", "id", "target"], "predictions")
    rows = predictions[predictions["kind"] == "regression"].drop_duplicates(["data", "fold", "id"])
    for name, part in rows.groupby(["data", "fold"]):
        data, fold = cast(tuple[Any, ...], name)
        targets = part["target"].to_numpy(np.float64)
        found.setdefault(str(data), {})[int(fold)] = [float(np.abs(targets - np.median(targets)).mean())]
    return found


def _entries(
    scores: pd.DataFrame, constants: Mapping[str, Mapping[int, list[float]]]
) -> Iterator[tuple[tuple[Any, ...], dict[str, _Seen]]]:
    """Each model on each task, with its runs by view, the views of the matrix first."""
    runs = _runs(scores)
    is_dummy = runs["model_name"] == DUMMY
    dummies = dict(list(runs[is_dummy & (runs["view"] == FULL)].groupby("data")))
    for name, mine in runs[~is_dummy].groupby(_ENTRY, sort=True):
        views: dict[str, _Seen] = {}
        for view in sorted(mine["view"].unique(), key=_place):
            of_view = mine[mine["view"] == view]
            of_view = of_view[of_view["data"] == of_view["data"].iloc[-1]]
            data = of_view["data"].iloc[0]
            views[view] = _Seen(of_view, dummies.get(data, of_view.iloc[:0]), constants.get(data, {}))
        if len(views) > 1 or FULL not in views:
            yield name, views


def _place(view: str) -> tuple[int, str]:
    order = (*VIEWS, CONTROL)
    return (order.index(view) if view in order else len(VIEWS), view)


def _runs(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per run that counts, with its loss; controls under the name of their task."""
    require_columns(scores, _NEEDED, "scores")
    loss = np.where(scores["kind"] == "regression", "mae", "rocauc_true")
    chosen = scores[(scores["metric"] == loss) & (scores["train_fraction"] == 1) & (scores["source"] == "ours")]
    runs = chosen.drop_duplicates(["task", "model", "key"]).sort_values(["fold", "seed", "key"], kind="stable")
    runs = runs.assign(loss=np.where(runs["metric"] == "mae", runs["score"], 1 - runs["score"]))
    control = runs["task"].str.endswith(_SUFFIX)
    runs["view"] = runs["view"].where(~control | (runs["model_name"] == DUMMY), CONTROL)
    runs["task"] = runs["task"].str.removesuffix(_SUFFIX)
    return newest(runs)


def _row(name: tuple[Any, ...], view: str, seen: _Seen, full: _Seen | None) -> dict[str, Any]:
    task, scheme, rows, entry = name
    first, folds = seen.runs.iloc[0], seen.folds
    skill = seen.skill(folds)
    found = Interval(np.nan, np.nan, np.nan) if skill is None else skill.interval
    kept = Interval(np.nan, np.nan, np.nan)
    if full is not None and view != CONTROL:
        common = [fold for fold in folds if fold in full.folds]
        mine = seen.skill(common)
        whole = mine if view == FULL else full.skill(common)
        if mine is not None and whole is not None:
            kept = mine.over(whole)
    counted = seen.runs[seen.runs["fold"].isin(folds)] if folds else seen.runs
    score = float(counted.groupby("fold")["score"].mean().mean())
    dummy = seen.dummy[seen.dummy["fold"].isin(folds)]
    return {
        "task": task,
        "view": view,
        "model": entry,
        "skill": found.value,
        "low": found.low,
        "high": found.high,
        "mae": score if first["metric"] == "mae" else np.nan,
        "folds": counted["fold"].nunique(),
        "seeds": _seeds(counted),
        "kept": kept.value,
        "kept_low": kept.low,
        "kept_high": kept.high,
        "metric": first["metric"],
        "score": score,
        "score_dummy": float(dummy.groupby("fold")["score"].mean().mean()) if len(dummy) else np.nan,
        "unit": first["unit"],
        "rows": rows,
        "rows_total": first["rows_total"],
        "fold_scheme": scheme,
        "sees": first["sees"],
        "constant": seen.constant,
        "note": _note(seen, skill),
    }


def _note(seen: _Seen, skill: Skill | None) -> str:
    """Why a number is missing; empty if none is."""
    if not len(seen.dummy):
        return "the dummy was not run"
    if not seen.folds:
        return "the dummy lacks these folds"
    if skill is None:
        losses = pd.concat([seen.runs["loss"], seen.dummy["loss"]])
        return "the metric is undefined on a fold" if losses.isna().any() else "the dummy makes no error"
    return "one fold: no interval" if len(skill.folds) < 2 else ""


def _source(
    name: tuple[Any, ...], views: Mapping[str, _Seen], chain: str, kind: str, view: str, before: str | None
) -> dict[str, Any]:
    task, scheme, rows, entry = name
    involved = [views[FULL], views[view], *([views[before]] if before else [])]
    folds = sorted(set.intersection(*(set(seen.folds) for seen in involved)))
    whole, mine, *rest = (seen.skill(folds) for seen in involved)
    found, share = Interval(np.nan, np.nan, np.nan), np.nan
    if whole is not None and mine is not None and None not in rest:
        found = mine.minus(rest[0] if rest else None)
        if whole.resolved or (len(folds) == 1 and whole.value > 0):
            share = found.value / whole.value
    return {
        "task": task,
        "model": entry,
        "information": kind,
        "chain": chain,
        "skill": found.value,
        "low": found.low,
        "high": found.high,
        "share": share,
        "folds": len(folds),
        "seeds": min(_seeds(seen.runs) for seen in involved),
        "view": view,
        "view_before": before or "",
        "rows": rows,
        "fold_scheme": scheme,
    }
