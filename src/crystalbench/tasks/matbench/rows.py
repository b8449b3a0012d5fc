"""Checks of the rows of an official task that do not depend on the format of the file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import bad_rows
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.fingerprint import content_fingerprint
from crystalbench.tasks.matbench.official_table import OfficialTask
from crystalbench.tasks.tables.labels import LARGEST


def target_values(official: OfficialTask, names: Iterable[str], values: Iterable[Any]) -> npt.NDArray[np.float64]:
    """The targets of rows as numbers, labels as 0 and 1.

    Args:
        official: the task.
        names: n ids, for messages.
        values: n targets, as Python objects.

    Returns:
        (n,) targets.

    Raises:
        DataError: a target is missing, not finite, or not of the kind of the task; names the ids.
    """
    values = list(values)
    if set(map(type, values)) == {bool if official.kind is Kind.BINARY else float}:
        array = np.array(values, np.float64)
        if np.isfinite(array).all():
            return array
    numbers: list[float] = []
    problems: list[tuple[str, str]] = []
    for name, value in zip(names, values, strict=True):
        if problem := _problem(official, value):
            problems.append((str(name), f"its {official.target!r} {problem}"))
        else:
            numbers.append(float(value))
    if problems:
        raise bad_rows(problems)
    return np.array(numbers, np.float64)


def _problem(official: OfficialTask, value: Any) -> str:
    """What is wrong with a target; empty if nothing is."""
    labels = official.kind is Kind.BINARY
    if value is None or value != value:
        return "is missing"
    if isinstance(value, bool) != labels and not (labels and value in (0, 1)):
        return f"is {value!r}, not a {'label' if labels else 'number'}"
    if not isinstance(value, (bool, int, float)) or not np.isfinite(value):
        return f"is {value!r}, not a finite number"
    if abs(value) > LARGEST:
        return f"is {value!r}, beyond ±{LARGEST:g}"
    return ""


def difference(official: OfficialTask, inputs: Inputs, targets: npt.NDArray[np.float64]) -> str:
    """How the data differs from the official data, for messages; empty if it does not.

    Compares the number of rows, and formulas and targets in their order (`content_fingerprint`).
    """
    if len(inputs) != official.n_samples:
        return f"it has {len(inputs):,} rows instead of {official.n_samples:,}"
    cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    found = content_fingerprint((cells.amounts_of(i) for i in range(len(cells))), targets)
    return "" if found == official.fingerprint else "its formulas or targets differ from the official ones"
