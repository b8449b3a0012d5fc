"""Does the symmetry of a diffraction pattern matter more than its intensities? Areas and verdicts from predictions.

The claim of the crystal structure genome (deepKNet, Phys. Rev. Research, 2022), as a rule that was stated before
looking: with A the pooled area under the ROC curve of one network with different inputs,

    [A(absences) − A(none)] − [A(full) − A(absences)] > 0.

The first bracket is what absences add to the positions of the reflections, i.e. what symmetry adds to the lattice; the
second is what intensities add to absences. The claim is confirmed where the 95 % interval of the difference is above
zero. Differences within `MARGIN` are called equivalent.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crystalbench.errors import DataError
from crystalbench.evaluation.areas import DRAWS, Area, Draws, Scored, scored
from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.significance import holm

COLUMNS = ("task", "model", "input", "auc", "low", "high", "seeds", "folds", "rows")
"""Columns of the frame of areas and of ``genome.csv``."""

DECISION_COLUMNS = (
    "task",
    "model",
    "view",
    "symmetry",
    "symmetry_low",
    "symmetry_high",
    "intensities",
    "intensities_low",
    "intensities_high",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "verdict",
    "within_margin",
    "seeds",
    "rows",
)
"""Columns of the frame of decisions."""

PREDICTION_COLUMNS = (
    "task",
    "data",
    "model",
    "view",
    "configuration",
    "fold",
    "seed",
    "kind",
    "id",
    "target",
    "prediction",
)

MARGIN = 0.01
"""Areas that differ by less are equivalent."""

FULL, ABSENCES, NONE = "full", "absences", "none"
"""The inputs that decide."""

_SEPARATOR, _UNDER = "-", " under "


@dataclass(frozen=True, eq=False)
class GenomeResults:
    """What `genome` returns.

    Attributes:
        areas: one row per task, model and input, with `COLUMNS`: ``auc`` with its 95 % interval ``low`` to ``high``,
            and the numbers of ``seeds``, ``folds`` and ``rows`` that it is pooled over.
        decisions: one row per task, model and view that has the three inputs, with `DECISION_COLUMNS`. ``symmetry`` is
            A(absences) − A(none), ``intensities`` is A(full) − A(absences), ``difference`` is the first minus the
            second, each with a 95 % interval. ``p`` is the two-sided p value of the difference, ``p_holm`` the same
            corrected for all rows of the frame. ``verdict`` is ``symmetry`` or ``intensities`` if the interval of the
            difference excludes zero, else ``equivalent`` if it lies within the margin, else ``undecided``;
            ``within_margin`` says whether it lies within the margin in any case. ``seeds`` are those of the input with
            the fewest.
    """

    areas: pd.DataFrame
    decisions: pd.DataFrame


def model_and_input(label: str, view: str = FULL) -> tuple[str, str]:
    """Model and input of an entry.

    Args:
        label: label of the entry: the name of the model, a dash and the name of the input; without these, ``full``.
        view: view of its runs.

    Examples:
        >>> model_and_input("deepknet-absences")
        ('deepknet', 'absences')
        >>> model_and_input("magpie_forest", "unit_density")
        ('magpie_forest', 'full under unit_density')
    """
    model, _, kind = label.partition(_SEPARATOR)
    kind = kind or FULL
    return model, kind if view == FULL else f"{kind}{_UNDER}{view}"


def input_of(settings: Mapping[str, Any]) -> str | None:
    """Input of a diffraction network by its hyperparameters, as the suite names it; None for another model.

    Examples:
        >>> input_of({"intensities": "absences", "scattering": "xray"})
        'absences'
        >>> input_of({"intensities": "none", "scattering": "xray", "max_index": -1})
        'lattice'
        >>> input_of({"trees": 500}) is None
        True
    """
    intensities, scattering = settings.get("intensities"), settings.get("scattering")
    if intensities is None or scattering is None:
        return None
    if intensities == NONE and settings.get("max_index", 1) < 1:
        return "lattice"
    parts = [scattering] * (scattering != "xray") + [intensities] * (intensities != FULL)
    return "_".join(parts) or FULL


def labelled(model: str, settings: Mapping[str, Any]) -> str:
    """Label of an entry with its input: that of a diffraction network whose label names none follows from its settings.

    Examples:
        >>> labelled("deepknet", {"intensities": "absences", "scattering": "xray"})
        'deepknet-absences'
    """
    kind = None if _SEPARATOR in model else input_of(settings)
    return model if kind is None else f"{model}{_SEPARATOR}{kind}"


def genome(
    predictions: pd.DataFrame,
    formulas: Mapping[str, Mapping[str, str]] | None = None,
    draws: int = DRAWS,
    margin: float = MARGIN,
) -> GenomeResults:
    """Areas of all entries, and what they decide.

    Predictions are pooled: an area is computed once over the test rows of all folds, for each seed, and averaged over
    the seeds. Intervals come from a bootstrap over formulas and seeds (see `crystalbench.evaluation.areas`). A
    difference is computed on the rows that its entries have in common. Runs on other folds than those of the task, or
    on a part of the training part, do not count.

    Args:
        predictions: one row per predicted sample, e.g. ``load_results("results/genome").predictions``. The labels of
            the models name model and input, see `model_and_input`.
        formulas: formula by id, for each task; without those of a task, each of its rows is drawn alone.
        draws: number of bootstrap draws.
        margin: areas that differ by less are equivalent.

    Raises:
        DataError: the frame lacks a column, has several data sets of one task or several configurations of one label,
            predicts a row twice, or a target is no class.
    """
    require_columns(predictions, PREDICTION_COLUMNS, "predictions")
    predictions = standard_runs(predictions)
    areas: list[tuple[object, ...]] = []
    decisions: list[dict[str, object]] = []
    for task, rows in predictions.groupby("task", sort=True):
        _check_one(rows, "data", str(task), "data sets")
        ids = pd.Index(np.sort(rows["id"].unique().astype(str)))
        drawn = Draws.of(ids, None if formulas is None else formulas.get(str(task)), draws)
        entries: dict[tuple[str, str, str], tuple[Scored, Area]] = {}
        for stream, ((label, view), part) in enumerate(rows.groupby(["model", "view"], sort=True)):
            _check_one(part, "configuration", f"{task}, {label}, view {view}", "configurations")
            entry, folds = scored(part, drawn, stream)
            model, kind = model_and_input(str(label))
            area = entry.area(drawn)
            entries[model, kind, str(view)] = entry, area
            name = model_and_input(str(label), str(view))
            areas.append((task, *name, area.value, *area.interval, len(entry.probabilities), folds, len(entry.places)))
        for model, view in sorted({(model, view) for model, _, view in entries}):
            chosen = [entries.get((model, kind, view)) for kind in (FULL, ABSENCES, NONE)]
            found = _decision([pair for pair in chosen if pair is not None], drawn, margin)
            if found is not None:
                decisions.append({"task": task, "model": model, "view": view, **found})
    made = pd.DataFrame(decisions, columns=list(DECISION_COLUMNS))
    if len(made):
        made["p_holm"] = holm(made["p"].to_numpy(np.float64))
    return GenomeResults(pd.DataFrame(areas, columns=list(COLUMNS)), made)


def _check_one(rows: pd.DataFrame, column: str, where: str, what: str) -> None:
    if (n := rows[column].nunique()) > 1:
        names = ", ".join(str(name)[:8] for name in rows[column].unique()[:3])
        raise DataError(f"{where}: the predictions are of {n} {what} ({names}); select one of them")


def _decision(entries: list[tuple[Scored, Area]], draws: Draws, margin: float) -> dict[str, object] | None:
    """The rule for the inputs full, absences and none of one model; None if one is missing, or no row is common."""
    if len(entries) < len((FULL, ABSENCES, NONE)):
        return None
    places = functools.reduce(np.intersect1d, (entry.places for entry, _ in entries))
    if not len(places):
        return None
    full, absences, none = (
        whole if len(places) == len(entry.places) else entry.area(draws, places) for entry, whole in entries
    )
    symmetry, intensities = absences - none, full - absences
    difference = symmetry - intensities
    low, high = difference.interval
    return {
        **_with_interval("symmetry", symmetry),
        **_with_interval("intensities", intensities),
        "difference": difference.value,
        "low": low,
        "high": high,
        "p": difference.p,
        "verdict": _verdict(low, high, margin),
        "within_margin": bool(-margin < low and high < margin),
        "seeds": min(len(entry.probabilities) for entry, _ in entries),
        "rows": len(places),
    }


def _with_interval(name: str, area: Area) -> dict[str, object]:
    low, high = area.interval
    return {name: area.value, f"{name}_low": low, f"{name}_high": high}


def _verdict(low: float, high: float, margin: float) -> str:
    if low > 0:
        return "symmetry"
    if high < 0:
        return "intensities"
    return "equivalent" if -margin < low and high < margin else "undecided"
