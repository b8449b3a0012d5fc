"""Read matminer's file with all rows of an official task."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.data.distances import too_close
from crystalbench.errors import DataError
from crystalbench.tasks.matbench.matminer_json import read_rows, without_garbage_collection
from crystalbench.tasks.matbench.official import official_ids
from crystalbench.tasks.matbench.official_table import OfficialTask
from crystalbench.tasks.matbench.rows import difference, target_values

_ROWS_AT_ONCE = 250
"""Number of rows that are Python objects at the same time."""


def read_official_file(official: OfficialTask, file: Path, sha256: str) -> tuple[Inputs, npt.NDArray[np.float64], str]:
    """Read and verify matminer's file.

    Args:
        official: the task.
        file: a gzip-compressed JSON file, see `crystalbench.tasks.matbench.matminer_json`.
        sha256: SHA-256 of the file.

    Returns:
        The n inputs with their official ids, the (n,) targets, and how they were verified: ``"sha256"`` or
        ``"content"``.

    Raises:
        DataError: the file is damaged, or its content is not the official one; names the file and the id.
    """
    inputs, targets = _read(official, file)
    if sha256 == official.sha256:
        return inputs, targets, "sha256"
    if isinstance(inputs, Crystals) and (close := too_close(inputs)):
        raise DataError("\n".join(f"{file}: {inputs.ids[row]}: {problem}" for row, problem in close))
    if problem := difference(official, inputs, targets):
        raise DataError(
            f"{file}: is not the official data of {official.name}: its SHA-256 is {sha256[:16]}… instead of "
            f"{official.sha256[:16]}…, and {problem}. Delete it and let CrystalBench download the official file; or, "
            "if this is data of your own, describe it in a task file (TOML) and run that"
        )
    return inputs, targets, "content"


def _read(official: OfficialTask, file: Path) -> tuple[Inputs, npt.NDArray[np.float64]]:
    rows = read_rows(file, (official.input, official.target))
    inputs: list[Inputs] = []
    targets: list[npt.NDArray[np.float64]] = []
    done = 0
    try:
        with without_garbage_collection():
            while batch := list(islice(rows, _ROWS_AT_ONCE)):
                names = _names(official, done, len(batch))
                targets.append(target_values(official, names, [value for _, value in batch]))
                inputs.append(_inputs(official, [value for value, _ in batch], names))
                done += len(batch)
    except DataError as error:
        raise error if str(error).startswith(str(file)) else DataError(f"{file}: {error}") from error
    if not inputs:
        raise DataError(f"{file}: has no rows; {official.name} has {official.n_samples:,}")
    return concatenate(inputs), np.concatenate(targets)


def _names(official: OfficialTask, start: int, count: int) -> list[str]:
    names: list[str] = official_ids(official.name)[start : start + count].tolist()
    return names + [f"row {row}" for row in range(start + len(names), start + count)]


def _inputs(official: OfficialTask, values: list[Any], names: list[str]) -> Inputs:
    if official.input == "structure":
        return Crystals.from_dicts(values, names)
    return Compositions.from_formulas(values, names)
