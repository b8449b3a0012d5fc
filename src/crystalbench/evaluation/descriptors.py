"""What models know of descriptors: learned as targets, or read from the embeddings of fitted models.

Modes:

* ``end_to_end``: a model is trained on the descriptor itself, from the crystals in canonical cells;
* ``linear_probe``: ridge regression from the embeddings of a network that was trained on the property of a task;
* ``untrained``: the same from the embeddings of the network with its initial weights, the floor of linear probes;
* ``shuffled_labels``: linear probes fitted to the descriptors of other crystals, the control;
* ``composition_volume``: a forest trained on the descriptor that sees the composition and the volume per atom, the
  floor of models trained end to end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.configurations import newest
from crystalbench.evaluation.significance import FoldScores
from crystalbench.evaluation.skill import Interval, Skill

END_TO_END, LINEAR, UNTRAINED = "end_to_end", "linear_probe", "untrained"
CONTROL, FLOOR = "shuffled_labels", "composition_volume"
MODES = (END_TO_END, FLOOR, LINEAR, UNTRAINED, CONTROL)

FLOORS = {END_TO_END: FLOOR, LINEAR: UNTRAINED}
"""What each mode has to be better than, for the model to know a descriptor."""

COLUMNS = (
    *("descriptor", "model", "mode", "r2", "low", "high", "task", "kind", "folds", "seeds"),
    *("floor", "gain", "gain_low", "gain_high", "rows", "rows_total", "fold_scheme", "undefined"),
)
ANSWERS = ("descriptor", "mode", "r2", "rows_train", "rows_test")
"""Columns of the answers of fitted models, without the facts of their runs."""
SPREADS = ("descriptor", "fold", "spread")
"""Columns of how much descriptors vary, for each fold of a task; see `relative_spreads`."""

LEAST_SPREAD = 0.1
"""Least standard deviation of a descriptor on a test part, relative to that on the training part, for an R².

R² compares errors with the variance of the test part. With less of it, for instance where a few crystals of the
training part differ from all others, R² is minus hundreds or thousands and tells nothing.
"""

_SEPARATOR = "+descriptor:"
_FACTS = (
    *("task", "data", "model", "model_name", "protocol", "view", "fold", "seed", "rows", "rows_total", "fold_scheme"),
    *("settings", "train_fraction", "source", "key"),
)
_KEY = ("descriptor", "entry", "mode", "rows")
_Key: TypeAlias = tuple[str, str, str, int]
_UNDEFINED = Interval(np.nan, np.nan, np.nan)


def descriptors(scores: pd.DataFrame, answers: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """What models know: a row per task, descriptor, model and mode.

    Args:
        scores: one row per run and metric, e.g. ``load_results("results").scores``; of these, runs of the tasks
            ``TASK+descriptor:NAME`` count.
        answers: rows with the columns `ANSWERS` and the facts of their runs, and rows with the columns `SPREADS`,
            ``task`` and ``data``, of which nothing else is known; may be empty. Folds without spreads always count.
        kinds: the kind of each descriptor, by name, in the order of the table.

    Returns:
        A frame with the columns `COLUMNS`:

        * ``r2`` with its 95 % interval over folds and seeds (corrected t-test), which is NaN for fewer than two folds.
          Folds on which the spread is below `LEAST_SPREAD`, or the descriptor is constant, are left out; without any
          other, it is NaN
        * ``floor``: the mode that a model has to be better than; ``gain``, the difference of R² from it on the same
          folds, with its interval. Empty and NaN for floors, and where the floor was not run
        * ``rows``: of the task; with a descriptor as the target, of the crystals that have it
        * ``folds``: those that count; ``undefined``: number of those that are left out

    Raises:
        DataError: a column is missing.
    """
    spreads = _spreads(answers)
    parts = [part for part in (_trained(scores, spreads), _asked(answers, spreads)) if len(part)]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    found = pd.concat(parts, ignore_index=True)
    found = found[found["descriptor"].isin(list(kinds))]
    order = list(kinds)
    rows: list[dict[str, Any]] = []
    for name, board in found.groupby(["task", "fold_scheme"], sort=True):
        facts: dict[str, Any] = dict(zip(("task", "fold_scheme"), name, strict=True))
        groups = {cast(_Key, key): mine for key, mine in board.groupby(list(_KEY), sort=True)}
        known = {key: mine[mine["r2"].notna()] for key, mine in groups.items()}
        skills = {key: _skill(mine) for key, mine in known.items() if len(mine)}
        for key, mine in groups.items():
            descriptor, model, mode, size = key
            skill = skills.get(key)
            rows.append(
                facts
                | {
                    "descriptor": descriptor,
                    "model": model,
                    "mode": mode,
                    "kind": kinds[descriptor],
                    "rows": size,
                    "rows_total": mine["rows_total"].iloc[0],
                    "undefined": mine["fold"].nunique() - known[key]["fold"].nunique(),
                }
                | _numbers(skill, _floor(skills, key), mode)
            )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    place = {"descriptor": {name: i for i, name in enumerate(order)}, "mode": {name: i for i, name in enumerate(MODES)}}
    return table.sort_values(
        ["task", "fold_scheme", "rows", "descriptor", "model", "mode"],
        key=lambda column: column.map(place[column.name]) if column.name in place else column,
        kind="stable",
        ignore_index=True,
    )


def relative_spreads(values: npt.NDArray[np.float64], train: npt.NDArray[Any], test: npt.NDArray[Any]) -> Any:
    """How much descriptors vary on the test part, relative to the training part.

    Args:
        values: (n, d) descriptors, NaN where a row has none.
        train: row numbers of the training part.
        test: row numbers of the test part.

    Returns:
        (d,) standard deviations on the test part over those on the training part; 0 where either is 0 or of no rows.
    """
    of_parts = []
    for rows in (train, test):
        part = np.ma.masked_invalid(values[rows])
        of_parts.append(part.std(0).filled(0.0))
    return np.divide(of_parts[1], of_parts[0], out=np.zeros(values.shape[1]), where=of_parts[0] > 0)


def _spreads(answers: pd.DataFrame) -> dict[tuple[str, str, str, int], float]:
    """Spreads by task, digest of its data, descriptor and fold."""
    if "spread" not in answers:
        return {}
    rows = answers[answers["spread"].notna()]
    keys = zip(rows["task"], rows["data"], rows["descriptor"], rows["fold"].astype(int), strict=True)
    return dict(zip(keys, rows["spread"], strict=True))


def _where_varied(
    runs: pd.DataFrame, r2: pd.Series[float], spreads: Mapping[tuple[str, str, str, int], float]
) -> pd.Series[float]:
    """R² of runs, NaN where the descriptor hardly varies."""
    keys = zip(runs["task"], runs["data"], runs["descriptor"], runs["fold"].astype(int), strict=True)
    varied = np.array([spreads.get(key, np.inf) >= LEAST_SPREAD for key in keys], np.bool_)
    return r2.where(varied)


def _numbers(skill: Skill | None, floor: Skill | None, mode: str) -> dict[str, Any]:
    own, gain = _UNDEFINED if skill is None else skill.interval, _UNDEFINED
    if skill is not None and floor is not None:
        common = sorted(set(skill.folds) & set(floor.folds))
        if common:
            gain = _part(skill, common).minus(_part(floor, common))
    return {
        "r2": own.value,
        "low": own.low,
        "high": own.high,
        "folds": 0 if skill is None else len(skill.folds),
        "seeds": 0 if skill is None else int(skill.scores.seeds.min()),
        "floor": FLOORS.get(mode, "") if floor is not None else "",
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }


def _floor(skills: Mapping[_Key, Skill], key: _Key) -> Skill | None:
    """The runs that a mode of a model is compared with: the untrained network itself, or the forest of any name."""
    descriptor, model, mode, size = key
    if mode == LINEAR:
        return skills.get((descriptor, model, UNTRAINED, size))
    if mode != END_TO_END:
        return None
    forests = [skill for other, skill in skills.items() if (other[0], *other[2:]) == (descriptor, FLOOR, size)]
    return forests[0] if forests else None


def _skill(runs: pd.DataFrame) -> Skill:
    by_fold: dict[int, list[float]] = {}
    for fold, r2 in zip(runs["fold"], runs["r2"], strict=True):
        by_fold.setdefault(int(fold), []).append(float(r2))
    ratio = float((runs["rows_test"] / runs["rows_train"]).mean())
    return Skill(tuple(by_fold), FoldScores.of(list(by_fold.values())), ratio)


def _part(skill: Skill, folds: list[int]) -> Skill:
    chosen = np.array([skill.folds.index(fold) for fold in folds], dtype=np.intp)
    parts = (skill.scores.means, skill.scores.variances, skill.scores.seeds)
    return Skill(tuple(folds), FoldScores(*(part[chosen] for part in parts)), skill.test_over_train)


def _trained(scores: pd.DataFrame, spreads: Mapping[tuple[str, str, str, int], float]) -> pd.DataFrame:
    """R² of models that were trained on a descriptor, one row per run."""
    require_columns(scores, (*_FACTS, "metric", "score", "rows_train", "rows_valid", "rows_test"), "scores")
    right = (scores["metric"] == "r2") & scores["task"].str.contains(_SEPARATOR, regex=False)
    runs = _counted(scores[right & (scores["model_name"] != "dummy")].drop_duplicates(["task", "model", "key"]))
    separator = re.escape(_SEPARATOR)
    runs = runs.assign(descriptor=runs["task"].str.replace(f"^.*{separator}", "", regex=True))
    floor = runs["model"].str.replace(r" x\d+$", "", regex=True) == FLOOR  # an ensemble has its number of members
    return runs.assign(
        task=runs["task"].str.replace(f"{separator}.*$", "", regex=True),
        mode=np.where(floor, FLOOR, END_TO_END),
        entry=runs["entry"].where(~floor, runs["model_name"]),
        r2=_where_varied(runs, runs["score"], spreads),
        rows_train=runs["rows_train"] + runs["rows_valid"],
    )


def _asked(answers: pd.DataFrame, spreads: Mapping[tuple[str, str, str, int], float]) -> pd.DataFrame:
    """R² of linear probes, one row per run, descriptor and mode."""
    asked = answers[answers["mode"].notna()] if "mode" in answers else answers.iloc[:0]
    if asked.empty:
        return asked
    require_columns(asked, (*_FACTS, *ANSWERS), "answers")
    whole = ("fold", "seed", "rows", "rows_total", "rows_train", "rows_test")  # NaN in the rows of spreads
    runs = _counted(asked.astype(dict.fromkeys(whole, np.int64)))
    return runs.assign(r2=_where_varied(runs, runs["r2"], spreads))


def _counted(runs: pd.DataFrame) -> pd.DataFrame:
    kept = (runs["view"] == FULL) & (runs["train_fraction"] == 1) & (runs["source"] == "ours")
    return newest(runs[kept].sort_values(["fold", "seed", "key"], kind="stable"))
