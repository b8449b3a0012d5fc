"""A model under test: made with quick hyperparameters, shown tiny data, fitted once for many promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs, joined
from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError
from crystalbench.models.model import Model, Needs, Progress, Runtime, hyperparameter_types, silent
from crystalbench.representations import Arrays, Representation
from crystalbench.targets import Kind
from crystalbench.testing.crystals import changed, known_structures, random_crystals, read_only
from crystalbench.testing.report import Attempts, Broken, Unchecked
from crystalbench.testing.samples import TARGETS, targets_for

QUICK: dict[str, int] = {
    "epochs": 2,
    "max_epochs": 2,
    "trees": 20,
    "rounds": 20,
    "n_estimators": 20,
    "iterations": 20,
    "width": 8,
    "layers": 1,
    "head_width": 8,
    "batch_size": 16,
}
"""Smaller values of well-known hyperparameters, taken where a model has them and its own are larger."""

TOLERANCE = 1e-4
"""Largest change of a prediction that counts as none, in standard deviations of the predictions."""
_LAST_DIGITS = 4 * float(np.finfo(np.float32).eps)  # relative; predictions may be of single precision
_LEAST_SPREAD = 1e-5  # relative; below it the last digits would hide what predictions depend on

SEED = 2**31 - 1

_KEPT: dict[tuple[type[Representation], str, str], Arrays] = {}
_MOST_KEPT, _LARGE = 256, 1 << 20

Values = npt.NDArray[np.float64]


@dataclass
class ModelCase:
    """A model class with hyperparameters, and what its checks share.

    Attributes:
        model: the class.
        parameters: hyperparameters given by the user, which come before the quick ones.
    """

    model: type[Model]
    parameters: Mapping[str, Any]
    _attempts: Attempts = field(default_factory=Attempts)

    # ------------------------------------------------------------------ making, showing, fitting

    def made(self, seed: int = SEED, progress: Progress = silent) -> Model:
        """A new model with quick hyperparameters."""
        model = self.model.from_configuration(self._attempts.get("configuration", self._quick))
        model.runtime = Runtime(seed=seed, progress=progress)
        return model

    def shown(self, inputs: Inputs, kind: Kind, *, fit: bool = False, targets: Values | None = None) -> Samples:
        """Rows as a run shows them: compositions alone where the model needs no more, targets only to fit.

        The arrays are copies.
        """
        if fit and targets is None:
            targets = targets_for(inputs, kind)
        if isinstance(inputs, Crystals) and self.model.needs is Needs.COMPOSITION:
            inputs = inputs.compositions()
        inputs = inputs[:]
        return Samples(inputs, TARGETS[kind], targets, represent=lambda r, rows: _represented(r, inputs)[rows])

    def fit(self, kind: Kind, **made: Any) -> Model:
        """A new model, fitted."""
        train, valid = training_crystals()
        return self.made(**made).fit(self.shown(train, kind, fit=True), self.shown(valid, kind, fit=True))

    def fitted(self, kind: Kind) -> Model:
        """The model fitted to a kind of target; the same one every time."""
        return self._attempts.get(("fitted", kind), lambda: self.fit(kind))

    def predictions(self, model: Model, crystals: Crystals, kind: Kind) -> Predictions:
        """Checked predictions of crystals."""
        samples = self.shown(crystals, kind)
        return model.predict(samples).checked(samples.target, samples.ids)

    def values(self, crystals: Crystals) -> Values:
        """Predicted values (n, d) of crystals by the model fitted to `kind`."""
        self.expected(self.kind)  # a model that cannot predict these is reported once
        return rows_of(self.predictions(self.fitted(self.kind), crystals, self.kind))

    # ------------------------------------------------------------------ what checks compare with

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of target that the model declares, regression first."""
        return [kind for kind in Kind if kind in self.model.kinds]

    @property
    def kind(self) -> Kind:
        """The kind of target that is enough where one is enough."""
        if not self.kinds:
            raise Unchecked
        return self.kinds[0]

    def expected(self, kind: Kind) -> Predictions:
        """Predictions of `asked_crystals`."""
        return self._attempts.get(
            ("expected", kind), lambda: self.predictions(self.fitted(kind), asked_crystals(), kind)
        )

    @property
    def spread(self) -> float:
        """Standard deviation of the predictions over `asked_crystals`."""
        return spread_of(rows_of(self.expected(self.kind)))

    @property
    def is_constant(self) -> bool:
        """Whether all crystals are predicted the same."""
        return self.spread == 0

    def tells_apart(self) -> None:
        """Make sure that a tolerance means something.

        Raises:
            Broken: predictions differ, but in their last digits only.
        """
        size = float(np.abs(self.expected(self.kind).values).max())
        if 0 < self.spread < _LEAST_SPREAD * size:
            raise Broken(
                f"predictions of about {size:.3g} differ by {self.spread:.1g}, too little to tell what they depend on; "
                "if the check trains too little, give it hyperparameters: check_model(..., epochs=50)"
            )

    def drift(self, values: Values) -> float:
        """Largest change of the predictions (n, d) of `asked_crystals`, in standard deviations."""
        change = float(np.abs(values - rows_of(self.expected(self.kind))).max())
        return change / self.spread if change and self.spread else change

    def agree(self, values: Values, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Compare predictions (n, d) with those expected of `asked_crystals`, or of some rows of them.

        Raises:
            Broken: they differ by more than the tolerance.
        """
        expected = rows_of(self.expected(self.kind))
        rows = np.arange(len(expected)) if rows is None else rows
        size = float(np.abs(expected).max())
        off = np.abs(values - expected[rows]).max(1)
        if off.max() > TOLERANCE * self.spread + (_LAST_DIGITS * size if self.spread else 0.0):
            worst = int(off.argmax())
            row = rows[worst]
            raise Broken(
                f"{asked_crystals().ids[row]} is predicted {in_words(expected[row])} and {in_words(values[worst])}; "
                f"predictions spread by {self.spread:.3g}"
            )

    def _quick(self) -> dict[str, Any]:
        chosen = dict(self.parameters)
        usual = self.model.from_configuration(chosen).configuration()
        for name in hyperparameter_types(self.model):
            if name not in QUICK or name in chosen or not isinstance(usual[name], int) or usual[name] <= QUICK[name]:
                continue
            try:
                self.model.from_configuration({**chosen, name: QUICK[name]})
            except ConfigError:
                continue
            chosen[name] = QUICK[name]
        return chosen


def _represented(representation: Representation, inputs: Inputs) -> Arrays:
    """A representation of inputs, computed once: fits and models ask for the same ones time and again."""
    key = (type(representation), representation.key, inputs.digest)
    arrays = _KEPT.pop(key, None)
    if arrays is None:
        arrays = representation(inputs)
    if arrays.nbytes < _LARGE:
        _KEPT[key] = arrays
    while len(_KEPT) > _MOST_KEPT:
        del _KEPT[next(iter(_KEPT))]  # the one that was longest not asked for
    return arrays


@lru_cache(maxsize=1)
def training_crystals() -> tuple[Crystals, Crystals]:
    """The training and the validation part."""
    return random_crystals(1, 24, most_atoms=3), random_crystals(2, 12, most_atoms=3)


@lru_cache(maxsize=1)
def asked_crystals() -> Crystals:
    """Crystals to predict: without symmetry in cells of every system, and with the symmetry of real ones."""
    return joined([random_crystals(3, 14), known_structures()])


def frozen(crystals: Crystals, needs: Needs) -> Inputs:
    """Read-only copies of crystals, or of their compositions for a model that needs no more."""
    if needs is Needs.STRUCTURE:
        return read_only(crystals)
    inputs = crystals.compositions()
    for array in inputs.to_arrays().values():
        array.flags.writeable = False
    return inputs


def renamed(crystals: Crystals) -> Crystals:
    """The same crystals under other ids."""
    return changed(crystals, ids=np.array([f"other-{i:03d}" for i in range(len(crystals))][::-1]))


def rows_of(predictions: Predictions) -> Values:
    """Predicted values as (n, d)."""
    return predictions.values.reshape(len(predictions.values), -1)


def spread_of(values: Values) -> float:
    """Standard deviation of values (n, d) over the rows; 0 if all rows are equal."""
    return 0.0 if (values == values[:1]).all() else float(np.sqrt(values.var(0).mean()))


def in_words(values: Values) -> str:
    """One row of predictions, short."""
    return ", ".join(f"{v:.7g}" for v in values)


def same(one: Predictions, other: Predictions, what: str) -> None:
    """Compare predictions of `asked_crystals` to the last digit.

    Raises:
        Broken: they differ.
    """
    differs = (rows_of(one) != rows_of(other)).any(1)
    if differs.any():
        row = int(differs.argmax())
        values = f"{in_words(rows_of(one)[row])} and {in_words(rows_of(other)[row])}"
        raise Broken(f"{what}, {asked_crystals().ids[row]} is predicted {values} ({differs.sum()} rows differ)")
    std, other_std = (np.zeros(0) if p.std is None else p.std for p in (one, other))
    if not np.array_equal(std, other_std):
        raise Broken(f"{what}, the predicted standard deviations differ")
