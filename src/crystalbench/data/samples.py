"""Samples: the rows that a model gets, with targets for fitting and without targets for prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import id_range, refuse
from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.data.flat import as_index
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from crystalbench.representations import Arrays, Representation


class Samples:
    """Rows of a task, as a model sees them.

    A model reads `inputs` (or `crystals`, `compositions`, or a representation by `represent`), `targets` while it is
    fitted, and `target`, which describes the property. The samples of a test part have no targets.

    Args:
        inputs: n crystals or compositions.
        target: the property to predict.
        targets: (n,) float64, values for regression or class numbers for classification; None for prediction.
        represent: computes a representation of the complete task once and returns the given rows of it. By default,
            the representation of these rows is computed directly.
        rows: (n,) row numbers of these samples in the complete task, for `represent`; by default 0 to n - 1.

    Raises:
        DataError: the numbers of inputs and targets differ.
    """

    def __init__(
        self,
        inputs: Inputs,
        target: Target,
        targets: npt.NDArray[np.float64] | None = None,
        *,
        represent: Callable[[Representation, npt.NDArray[np.int64]], Arrays] | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        if targets is not None and len(targets) != len(inputs):
            raise DataError(f"{len(targets)} targets for {len(inputs)} rows")
        self.target = target
        self._inputs = inputs
        self._targets = targets
        self._represent = represent
        self._rows = np.arange(len(inputs)) if rows is None else rows

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._inputs)

    def __repr__(self) -> str:
        """One line: number and kind of the rows, the property, and whether there are targets."""
        inputs = "crystals" if isinstance(self._inputs, Crystals) else "compositions"
        targets = "with targets" if self.has_targets else "without targets"
        return f"<Samples: {len(self):,} {inputs} {targets} ({self.target.name}){id_range(self.ids)}>"

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """(n,) ids of the rows."""
        return self._inputs.ids

    @property
    def inputs(self) -> Inputs:
        """The crystals, or the compositions if the task has (or the model may see) nothing else."""
        return self._inputs

    @property
    def crystals(self) -> Crystals:
        """The crystals.

        Raises:
            DataError: the samples have compositions only.
        """
        if not isinstance(self._inputs, Crystals):
            raise DataError(
                "these samples have compositions only; a model that reads crystals must declare needs = Needs.STRUCTURE"
            )
        return self._inputs

    @property
    def compositions(self) -> Compositions:
        """The compositions; for crystals, those of their cells."""
        return self._inputs.compositions() if isinstance(self._inputs, Crystals) else self._inputs

    @property
    def targets(self) -> npt.NDArray[np.float64]:
        """(n,) targets.

        Raises:
            DataError: the samples are for prediction; no model may see their targets.
        """
        if self._targets is None:
            raise DataError("these samples are for prediction: they have no targets")
        return self._targets

    @property
    def has_targets(self) -> bool:
        """Whether the samples have targets, that is, are for fitting."""
        return self._targets is not None

    def represent(self, representation: Representation) -> Arrays:
        """A representation of these rows; for the samples of a task, computed once for the complete task."""
        if self._represent is None:
            return representation(self._inputs)
        return self._represent(representation, self._rows)

    def to_predict(self) -> Samples:
        """The same rows without their targets."""
        return Samples(self._inputs, self.target, represent=self._represent, rows=self._rows)

    @classmethod
    def concatenated(cls, parts: Sequence[Samples]) -> Samples:
        """The rows of several samples of one property, such as a training and a validation part, in this order.

        Raises:
            DataError: there are no parts, they are of different properties, or only some have targets.
        """
        if not parts:
            raise DataError("there are no samples to concatenate")
        first = parts[0]
        if any(part.target != first.target or part.has_targets != first.has_targets for part in parts):
            raise DataError("samples of different properties, or with and without targets, cannot be concatenated")
        return cls(
            concatenate([part._inputs for part in parts]),
            first.target,
            np.concatenate([part.targets for part in parts]) if first.has_targets else None,
            # Samples of one task share its representations; those of others are computed anew.
            represent=first._represent if all(part._represent == first._represent for part in parts) else None,
            rows=np.concatenate([part._rows for part in parts]),
        )

    def __getitem__(self, key: Any) -> Samples:
        """The samples at a slice, mask or index array."""
        index = as_index(key, len(self))
        targets = None if self._targets is None else self._targets[index]
        return Samples(self._inputs[index], self.target, targets, represent=self._represent, rows=self._rows[index])


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for n rows.

    Attributes:
        values: for regression, (n,) values in the unit of the target; for binary targets, (n,) probabilities of class
            1; for multiclass targets, (n, classes) probabilities.
        std: (n,) predicted standard deviations of a regression; None if the model does not predict them.
    """

    values: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        """One line: number of rows, number of classes, and whether there are standard deviations."""
        shape = np.shape(self.values)
        classes = f" x {shape[1]} classes" if len(shape) == 2 else ""
        return f"<Predictions: {len(self.values):,} rows{classes}{', with std' if self.std is not None else ''}>"

    def checked(self, target: Target, ids: npt.NDArray[np.str_]) -> Predictions:
        """Check the predictions and convert them to float64.

        Args:
            target: the property that was predicted.
            ids: (n,) ids of the rows, for messages.

        Raises:
            DataError: the shape is wrong, or values are not finite or not probabilities; names the ids.
        """
        values = np.asarray(self.values, dtype=np.float64)
        shape = (len(ids), len(target.classes)) if target.kind is Kind.MULTICLASS else (len(ids),)
        if values.shape != shape:
            raise DataError(f"predictions have shape {values.shape}; a {target.kind} target needs {shape}")
        rows = values.reshape(len(ids), -1)
        refuse(ids, ~np.isfinite(rows).all(1), "its prediction is not finite")
        if target.kind is not Kind.REGRESSION:
            refuse(ids, ((rows < 0) | (rows > 1)).any(1), "its predicted probability is outside [0, 1]")
        if target.kind is Kind.MULTICLASS:
            refuse(ids, np.abs(rows.sum(1) - 1) > 1e-4, "its predicted probabilities do not sum to 1")
        std = self.std
        if std is not None:
            std = np.asarray(std, dtype=np.float64)
            if std.shape != (len(ids),) or not np.isfinite(std).all() or (std < 0).any():
                raise DataError("predicted standard deviations must be finite and non-negative, one per row")
        return dataclasses.replace(self, values=values, std=std)
