"""Slices: the errors of models on groups of rows, such as formulas that occur in the training part and others.

A row is in the test part of one fold, so what is seen in training refers to the training part of this fold. Intervals
come from a bootstrap over formulas: rows of the same formula are drawn together, as their errors are related. They
describe the choice of rows, not the randomness of training, and with few formulas they are too narrow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import DataError
from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.group_means import DRAWS, Bools, Codes, Floats, group_means
from crystalbench.targets import Kind

COLUMNS = ("task", "model", "slice", "value", "rows", "mae", "low", "high")
"""Columns of a frame of slices and of ``slices.csv``."""

PREDICTION_COLUMNS = ("task", "data", "model", "kind", "configuration", "id", "target", "prediction")

QUANTILES = (20, 40, 60, 80)
"""Percentages at which targets and distances are divided."""
ATOMS = (1, 3, 5, 9, 17, 33, 65)
"""Smallest numbers of atoms of the bins."""
SAME_VOLUME = 0.05
"""Largest relative difference in the volume per atom of near-duplicates."""


@dataclass(frozen=True, eq=False)
class TaskRows:
    """Facts of the n rows of a task by which they are grouped; `crystalbench.tasks.facts.rows_of` makes them.

    Attributes:
        task: name of the task.
        data: digest of the task.
        ids: (n,) ids.
        folds: (n,) the fold whose test part contains the row; -1 for a row that only ever trains.
        targets: (n,) targets, or class numbers.
        classes: names of the classes; empty for regression.
        formulas: (n,) formulas, equal for equal compositions, such as ``Fe2O3`` and ``Fe4O6``.
        systems: (n,) chemical systems.
        elements: (n, 119) whether a row contains an element, by atomic number.
        features: (n, d) features of the composition, in which distances are measured.
        space_groups: (n,) numbers of the space groups, 0 where it is not known; None without structures.
        crystal_systems: (n,) names of the crystal systems; None without structures.
        atoms: (n,) atoms in the cell as given; None without structures.
        volumes: (n,) Å³ per atom; None without structures.
    """

    task: str
    data: str
    ids: npt.NDArray[np.str_]
    folds: npt.NDArray[np.int16]
    targets: Floats
    classes: tuple[str, ...]
    formulas: npt.NDArray[np.object_]
    systems: npt.NDArray[np.object_]
    elements: Bools
    features: Floats
    space_groups: npt.NDArray[np.int64] | None = None
    crystal_systems: npt.NDArray[np.object_] | None = None
    atoms: npt.NDArray[np.int64] | None = None
    volumes: Floats | None = None

    @property
    def tested(self) -> Bools:
        """(n,) whether a row is in a test part."""
        return np.asarray(self.folds >= 0)

    @property
    def clusters(self) -> Codes:
        """(n,) number of the formula of each row."""
        return np.unique(self.formulas.astype(str), return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of the n rows of a task: G pairs of a slice and a value.

    Attributes:
        names: the pairs, e.g. ``("formula", "seen")``.
        members: (n, G) whether a row is in a group.
    """

    names: list[tuple[str, str]]
    members: sparse.csr_array

    @property
    def columns(self) -> dict[str, list[str]]:
        """The pairs as the columns ``slice`` and ``value`` of a frame."""
        return {"slice": [name for name, _ in self.names], "value": [value for _, value in self.names]}


def slices(
    predictions: pd.DataFrame, rows: TaskRows, names: Mapping[str, str] | None = None, draws: int = DRAWS
) -> pd.DataFrame:
    """Mean error of every model on every slice of a task.

    The error of a row is the absolute error for regression, and 1 for a wrong class or 0 for the right one for
    classification, so that ``mae`` is the share of rows that are classified wrongly. Errors are means over the seeds.
    Models with fewer folds are listed with the rows that they have.

    Args:
        predictions: one row per predicted sample (see `crystalbench.results.frames.predictions_frame`). Those of other
            tasks, and of other rows of this task, do not count.
        rows: facts of the rows.
        names: names of entries by configuration; the name of the model by default.
        draws: number of bootstrap samples.

    Returns:
        A frame with the columns `COLUMNS`, sorted by model, slice and value. ``low`` and ``high`` are the limits of a
        95 % interval of the mean error; NaN for rows of a single formula. Values are

        * ``all``: ``all``
        * ``formula``, ``chemical_system``: ``seen`` or ``unseen`` in the training part
        * ``near_duplicate``: ``yes`` if the training part has a crystal of the same formula and space group whose
          volume per atom differs by 5 % at most, else ``no``; without structures, the slice is missing, as the
          next two are
        * ``crystal_system``: its name; ``unknown`` where no symmetry is found
        * ``atoms``: atoms in the cell as given: ``1-2``, ``3-4``, ..., ``65+``
        * ``elements``: number of elements; ``element``: a symbol, for all rows that contain it
        * ``target``: a fifth of the tested rows by target, ``0-20 %`` being the smallest, wider where targets are
          equal; for classification, the class
        * ``distance``: the same by distance to the nearest row of the training part, see `distances`

    Raises:
        DataError: the frame lacks a column, or an id is not one of the task.
    """
    require_columns(predictions, PREDICTION_COLUMNS, "predictions")
    errors = {name: row_means(part, _errors(part, rows), rows) for name, part in entries_of(predictions, rows, names)}
    if not errors:
        return pd.DataFrame({name: [] for name in COLUMNS})
    groups = groups_of(rows)
    parts = [
        pd.DataFrame({"task": rows.task, "model": model, **groups.columns, **found._asdict()})
        for model, found in group_means(errors, groups.members, rows.clusters, draws).items()
    ]
    frame = pd.concat(parts, ignore_index=True).rename(columns={"mean": "mae"})
    return frame[frame["rows"] > 0].sort_values("model", kind="stable").reset_index(drop=True)[list(COLUMNS)]


def entries_of(
    predictions: pd.DataFrame, rows: TaskRows, names: Mapping[str, str] | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The entries that predicted the rows of a task, by name; the names differ.

    Runs on a fraction of the training part are left out.

    Args:
        predictions: see `slices`.
        rows: facts of the rows.
        names: names of entries by configuration; the name of the model by default.
    """
    mine = standard_runs(predictions[(predictions["task"] == rows.task) & (predictions["data"] == rows.data)])
    used: set[str] = set()
    for configuration, part in mine.groupby("configuration"):
        name = (names or {}).get(str(configuration), str(part["model"].iloc[0]))
        name = f"{name} ({str(configuration)[:8]})" if name in used else name
        used.add(name)
        yield name, part


def row_means(part: pd.DataFrame, values: Floats, rows: TaskRows) -> Floats:
    """(n,) values of the rows of a task, means over the seeds; NaN for rows that were not predicted.

    Args:
        part: predictions of one entry.
        values: (predictions,) a value of each.
        rows: facts of the rows.

    Raises:
        DataError: an id is not one of the task.
    """
    place = pd.Index(rows.ids.astype(object)).get_indexer(pd.Index(part["id"]))
    if (place < 0).any():
        unknown = part["id"].to_numpy()[place < 0][0]
        raise DataError(f"{rows.task}: {unknown} is predicted by {part['model'].iloc[0]}, but it is no id of the task")
    n = len(rows.ids)
    times = np.bincount(place, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(place, values, minlength=n) / times)


def _errors(part: pd.DataFrame, rows: TaskRows) -> Floats:
    """(predictions,) errors of one entry."""
    target = part["target"].to_numpy(np.float64)
    kind = part["kind"].iloc[0]
    if kind == Kind.REGRESSION:
        return np.asarray(np.abs(part["prediction"].to_numpy(np.float64) - target))
    if kind == Kind.BINARY:
        return np.asarray((part["prediction"].to_numpy(np.float64) > 0.5) != (target > 0.5), np.float64)
    shares = part[[f"p_{c}" for c in range(len(rows.classes))]].to_numpy(np.float64)
    return np.asarray(shares.argmax(axis=1) != target, np.float64)


# ---------------------------------------------------------------------- groups


def groups_of(rows: TaskRows) -> Groups:
    """All slices of the rows of a task; rows that only ever train are in none."""
    names: list[tuple[str, str]] = []
    columns: list[Bools] = []
    for name, labels in _labels(rows):
        for value in labels:
            names.append((name, value))
            columns.append(labels[value] & rows.tested)
    return Groups(names, sparse.csr_array(np.stack(columns, axis=1).astype(np.float64)))


def _labels(rows: TaskRows) -> Iterator[tuple[str, dict[str, Bools]]]:
    """Slices with the rows of each value."""
    yield "all", {"all": np.ones(len(rows.ids), np.bool_)}
    formulas = seen_in_training(rows.formulas, rows.folds)
    yield "formula", {"seen": formulas, "unseen": ~formulas}
    systems = seen_in_training(rows.systems, rows.folds)
    yield "chemical_system", {"seen": systems, "unseen": ~systems}
    if rows.space_groups is not None and rows.volumes is not None:
        duplicates = near_duplicates(rows.formulas, rows.space_groups, rows.volumes, rows.folds)
        yield "near_duplicate", {"yes": duplicates, "no": ~duplicates}
    if rows.crystal_systems is not None:
        yield "crystal_system", {str(name): rows.crystal_systems == name for name in np.unique(rows.crystal_systems)}
    if rows.atoms is not None:
        bins = np.searchsorted(ATOMS, rows.atoms, side="right") - 1
        ends = [*(f"{low}-{high - 1}" for low, high in itertools.pairwise(ATOMS)), f"{ATOMS[-1]}+"]
        yield "atoms", {ends[b]: bins == b for b in np.unique(bins)}
    numbers = rows.elements.sum(axis=1)
    yield "elements", {str(n): numbers == n for n in np.unique(numbers)}
    yield "element", {SYMBOLS[z]: rows.elements[:, z] for z in np.flatnonzero(rows.elements.any(axis=0))}
    if rows.classes:
        yield "target", {name: rows.targets == c for c, name in enumerate(rows.classes)}
    else:
        yield "target", fifths(rows.targets, rows.tested)
    yield "distance", fifths(distances(rows), rows.tested)


def seen_in_training(values: npt.NDArray[Any], folds: npt.NDArray[np.int16]) -> Bools:
    """(n,) whether the training part of each row's fold has a row with the same value.

    Args:
        values: (n,) texts.
        folds: (n,) fold numbers.
    """
    codes = np.unique(values.astype(str), return_inverse=True)[1].reshape(-1)
    pairs = codes * (int(folds.max()) + 2) + (folds.astype(np.int64) + 1)
    return np.asarray(_sizes(codes) > _sizes(pairs))


def _sizes(codes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(n,) number of rows with the same code."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse.reshape(-1)], dtype=np.int64)


def near_duplicates(
    formulas: npt.NDArray[np.object_],
    space_groups: npt.NDArray[np.int64],
    volumes: Floats,
    folds: npt.NDArray[np.int16],
) -> Bools:
    """(n,) whether the training part of each row's fold has nearly the same crystal.

    That is one of the same formula and space group, where the larger volume per atom is at most 5 % above the
    smaller one. Structures are not compared atom by atom, and crystals of unknown symmetry have no duplicates.

    Args:
        formulas: (n,) formulas.
        space_groups: (n,) numbers; 0 if unknown.
        volumes: (n,) Å³ per atom.
        folds: (n,) fold numbers.
    """
    codes = np.unique(formulas.astype(str), return_inverse=True)[1].reshape(-1) * 231 + space_groups
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    found = np.zeros(len(codes), np.bool_)
    for members in np.split(order, starts[1:]):
        if len(members) == 1 or space_groups[members[0]] == 0:
            continue
        v, f = volumes[members], folds[members]
        alike = np.maximum.outer(v, v) <= (1 + SAME_VOLUME) * np.minimum.outer(v, v)
        found[members] = (alike & (f[:, None] != f)).any(axis=1)
    return found


def distances(rows: TaskRows) -> Floats:
    """(n,) distance of each row to the nearest row of the training part of its fold; 0 for rows that only ever train.

    Features are standardised by mean and standard deviation over the training part, and the distance is the root mean
    square over the features that vary there. A row whose formula is in the training part has the distance 0.
    """
    from sklearn.metrics import pairwise_distances_argmin_min  # here, because the import is slow

    found = np.zeros(len(rows.ids))
    seen = seen_in_training(rows.formulas, rows.folds)
    for fold in np.unique(rows.folds[rows.tested]):
        train = rows.features[rows.folds != fold]
        test = np.flatnonzero((rows.folds == fold) & ~seen)
        scale = train.std(axis=0)
        varying = scale > 1e-12 * np.abs(train).max(axis=0, initial=0.0)
        if not len(test) or not varying.any():
            continue
        mean, scale = train.mean(axis=0)[varying], scale[varying] * np.sqrt(varying.sum())
        parts = ((part[:, varying] - mean) / scale for part in (np.unique(train, axis=0), rows.features[test]))
        known, new = map(np.ascontiguousarray, parts)  # columns are chosen in another order; scikit-learn is slow then
        found[test] = pairwise_distances_argmin_min(new, known)[1]
    return found


def fifths(values: Floats, among: Bools) -> dict[str, Bools]:
    """Fifths of some rows by value, smallest first; equal values are in the same one, which is wider then.

    Args:
        values: (n,) values.
        among: (n,) the rows that are divided.

    Returns:
        (n,) rows of each fifth, by name, e.g. ``0-20 %``.
    """
    limits = np.percentile(values[among], QUANTILES, method="higher")
    shares = {float(limit): share for limit, share in zip(limits, QUANTILES, strict=True)}  # the last of equal ones
    shares[float(values[among].max())] = 100
    found: dict[str, Bools] = {}
    low, below = -np.inf, 0
    for limit, share in shares.items():
        found[f"{below}-{share} %"] = (values > low) & (values <= limit)
        low, below = limit, share
    return found
