"""Task: a property to predict, with its rows, its official folds, and the origin of the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Target
from crystalbench.tasks.display import describe, to_frame, to_html
from crystalbench.tasks.pyg import to_pyg

if TYPE_CHECKING:
    import pandas as pd

    from crystalbench.results.spec import FoldSchemeSpec

NEVER_TESTED = -1
"""Fold number of a row that is in no test part: it only ever trains."""


@dataclass(frozen=True)
class Source:
    """Where a task's data came from.

    Attributes:
        name: file name (never a path: records are read on other machines).
        sha256: SHA-256 of the file.
        verified: how it was checked: ``"sha256"`` (the official file, or the one that the task file declares),
            ``"content"`` (the official targets and compositions in another file), ``"ids"`` (some of the rows, with
            official ids), ``"package"`` (part of CrystalBench) or ``"user"`` (nothing to check against).
        task_file: name of the task file of a user's own task; empty for other tasks.
    """

    name: str
    sha256: str
    verified: str
    task_file: str = ""


_REMARKS_IN_A_LINE = 3


@dataclass(frozen=True, eq=False)
class Task:
    """A property to predict, with its data in memory.

    Attributes:
        name: unique name, e.g. ``matbench_phonons``.
        target: name, kind, unit and classes of the property.
        metric: name of the main metric.
        inputs: n crystals or compositions, with ids.
        targets: (n,) float64, values in the unit of the target; for classification, class numbers.
        folds: (n,) int16, the fold whose test part contains the row; -1 for a row that only ever trains.
        rows_total: number of rows of the complete task; more than n if only some of them are loaded.
        source: where the data came from.
        remarks: what the user should know about the data, e.g. which rows were dropped and why.
        fold_scheme: the scheme that made the folds; None for the official folds.

    Raises:
        DataError: there are no rows, lengths differ, a target is missing or not finite, or an id is not unique; names
            the ids.

    Examples:
        >>> from crystalbench.tasks import load_task
        >>> task = load_task("demo_bulk_modulus")
        >>> task
        Task demo_bulk_modulus: 1,168 crystals → bulk_modulus (GPa), 5 folds, metric MAE
        >>> task.to_frame().columns.tolist()
        ['id', 'formula', 'n_atoms', 'target', 'fold']
        >>> train, test = task.split(0)
        >>> len(train), len(test)
        (934, 234)
    """

    name: str
    target: Target
    metric: str
    inputs: Inputs
    targets: npt.NDArray[np.float64]
    folds: npt.NDArray[np.int16]
    rows_total: int
    source: Source
    remarks: tuple[str, ...] = ()
    fold_scheme: FoldSchemeSpec | None = None

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if n == 0:
            raise DataError(f"{self.name}: has no rows")
        if len(self.targets) != n or len(self.folds) != n:
            raise DataError(
                f"{self.name}: {n} rows, but {len(self.targets)} targets and {len(self.folds)} fold numbers"
            )
        bad = ~np.isfinite(self.targets)
        if bad.any():
            raise DataError(
                f"{self.name}: {int(bad.sum()):,} of {n:,} targets are missing or not finite: "
                f"{first_ids(self.inputs.ids[bad])}; correct or remove these rows in {self.source.name}"
            )
        ids, counts = np.unique(self.inputs.ids, return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"{self.name}: ids must be unique, but these occur more than once in {self.source.name}: "
                f"{first_ids(ids[counts > 1])}"
            )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.inputs)

    def __repr__(self) -> str:
        return describe(self)

    def _repr_html_(self) -> str:
        return to_html(self)

    @property
    def is_partial(self) -> bool:
        """Whether only some of the rows of the complete task are loaded."""
        return len(self) < self.rows_total

    @property
    def remarks_line(self) -> str:
        """The remarks in one line, of many only the first ones; empty if there are none."""
        if not self.remarks:
            return ""
        more = len(self.remarks) - _REMARKS_IN_A_LINE
        rest = f"; and {more:,} more, which task.remarks and every record list" if more > 0 else ""
        return f"{self.name}: {'; '.join(self.remarks[:_REMARKS_IN_A_LINE])}{rest}"

    @property
    def has_structures(self) -> bool:
        """Whether the inputs are crystals; otherwise, they are compositions."""
        return isinstance(self.inputs, Crystals)

    @property
    def fold_numbers(self) -> list[int]:
        """The fold numbers in ascending order."""
        return [int(k) for k in np.unique(self.folds) if k != NEVER_TESTED]

    def split(self, fold: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Split the rows into the training part and the test part of a fold.

        Returns:
            Row numbers of the training part and of the test part, in ascending order.

        Raises:
            ConfigError: there is no such fold.
            DataError: the training part is empty.
        """
        if fold not in self.fold_numbers:
            raise ConfigError(f"{self.name}: has no fold {fold}; its folds are {self.fold_numbers}")
        train, test = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
        if len(train) == 0:
            raise DataError(f"{self.name}: the training part of fold {fold} is empty")
        return train, test

    @cached_property
    def digest(self) -> str:
        """SHA-256 of inputs, ids, target, targets and folds: it changes whenever a result could change."""
        sha = hashlib.sha256()
        for part in (self.inputs.digest, self.target, "\n".join(self.inputs.ids)):
            sha.update(repr(part).encode() + b"\n")
        sha.update(np.ascontiguousarray(self.targets, np.float64).tobytes())
        sha.update(np.ascontiguousarray(self.folds, np.int16).tobytes())
        return sha.hexdigest()

    def limited(self, rows: int | None) -> Task:
        """The task with at most this many rows: a random sample, the same on every call. None is no limit.

        Raises:
            ConfigError: the limit is not positive.
        """
        if rows is None or rows >= len(self):
            return self
        if rows < 1:
            raise ConfigError(f"limit = {rows}: the limit must be positive")
        chosen = np.sort(np.random.default_rng(0).permutation(len(self))[:rows])
        return replace(self, inputs=self.inputs[chosen], targets=self.targets[chosen], folds=self.folds[chosen])

    def to_frame(self, *, structures: bool = False) -> pd.DataFrame:
        """The rows as a table, for notebooks.

        Args:
            structures: add a column ``structure`` with pymatgen structures (0.2 s for 1,000 crystals of 8 atoms).

        Returns:
            A table with n rows and the columns ``id``, ``formula`` (of the cell), ``n_atoms`` (of the cell; only for
            crystals), ``target``, ``label`` (the class, a categorical; only for classification) and ``fold`` (-1 for a
            row that only ever trains).

        Raises:
            ConfigError: structures are requested of a task that has compositions only.
        """
        return to_frame(self, structures=structures)

    def to_pyg(self, fold: int, cutoff: float = 5.0) -> tuple[list[Any], list[Any]]:
        """The two parts of a fold as graphs of PyTorch Geometric, for your own data loader and training.

        Args:
            fold: number of the fold.
            cutoff: largest distance of neighbours in Å.

        Returns:
            Lists of `torch_geometric.data.Data`, of the training part and of the test part. Besides the attributes of
            `crystalbench.representations.pyg.pyg_attributes` for a single crystal, each has ``y`` (1,), the target in
            its unit (float32) or the class number (int64), and ``id``. Choose epochs and hyperparameters on the
            training part; the test part is for the final prediction.

        Raises:
            ConfigError: there is no such fold, the task has compositions only, or torch_geometric is not installed.
        """
        return to_pyg(self, fold, cutoff)
