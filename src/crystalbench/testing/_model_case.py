"""A model under test, with quick hyperparameters and tiny data; the checks share its fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.data.equivalent import changed
from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError
from crystalbench.models.members import parse_members
from crystalbench.models.model import Model, Needs, Progress, Runtime, hyperparameter_types, silent
from crystalbench.representations import Arrays, Representation
from crystalbench.targets import Kind
from crystalbench.testing.crystals import known_structures, random_crystals, read_only
from crystalbench.testing.report import CheckFailure, Memo, SkipCheck
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
"""Values of common hyperparameters, used if a model has them and its own are larger."""

TOLERANCE = 1e-4
"""Largest tolerated change of a prediction, in standard deviations of the predictions."""
_ROUND_OFF = 4 * float(np.finfo(np.float32).eps)  # relative; predictions may be in single precision
_LEAST_SPREAD = 1e-5  # relative; with a smaller spread, round-off would hide what predictions depend on

SEED = 2**31 - 1

_REPRESENTED: dict[tuple[type[Representation], str, str], Arrays] = {}
_MOST_ENTRIES, _MOST_BYTES = 256, 1 << 20

Values = npt.NDArray[np.float64]


@dataclass
class ModelCase:
    """A model class with hyperparameters, and the fits and predictions that its checks share.

    Attributes:
        model: the class.
        parameters: hyperparameters of the caller, which override the quick ones.
    """

    model: type[Model]
    parameters: Mapping[str, Any]
    _memo: Memo = field(default_factory=Memo)

    # ------------------------------------------------------------------ models, samples, fits

    def new(self, seed: int = SEED, progress: Progress = silent) -> Model:
        """A new model with quick hyperparameters."""
        model = self.model.from_configuration(self._memo.get("configuration", self._quick))
        model.runtime = Runtime(seed=seed, progress=progress)
        return model

    @property
    def needs(self) -> Needs:
        """What the model declares.

        Raises:
            SkipCheck: it declares nothing valid, which another check reports.
        """
        needs = getattr(self.model, "needs", None)
        if not isinstance(needs, Needs):
            raise SkipCheck
        return needs

    def samples(self, inputs: Inputs, kind: Kind, *, fit: bool = False, targets: Values | None = None) -> Samples:
        """Samples as in a run: only compositions if the model needs no more, and targets only to fit.

        The arrays are copies.
        """
        if fit and targets is None:
            targets = targets_for(inputs, kind)
        if isinstance(inputs, Crystals) and self.needs is Needs.COMPOSITION:
            inputs = inputs.compositions()
        inputs = inputs[:]
        return Samples(inputs, TARGETS[kind], targets, represent=lambda r, rows: _represented(r, inputs)[rows])

    def fit(self, kind: Kind, **options: Any) -> Model:
        """A new fitted model; ``options`` are those of `new`."""
        train, valid = training_crystals()
        return self.new(**options).fit(self.samples(train, kind, fit=True), self.samples(valid, kind, fit=True))

    def fitted(self, kind: Kind) -> Model:
        """The model fitted to a kind of target, the same one at every call."""
        return self._memo.get(("fitted", kind), lambda: self.fit(kind))

    def predictions(self, model: Model, crystals: Crystals, kind: Kind) -> Predictions:
        """Checked predictions of crystals."""
        samples = self.samples(crystals, kind)
        return model.predict(samples).checked(samples.target, samples.ids)

    def values(self, crystals: Crystals) -> Values:
        """Predicted values (n, d) of crystals by the model fitted to `kind`."""
        self.expected(self.kind)  # so that a model that cannot predict at all is reported once
        return rows_of(self.predictions(self.fitted(self.kind), crystals, self.kind))

    # ------------------------------------------------------------------ comparisons

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of target that the model declares and supports with these hyperparameters, regression first."""
        declared = [kind for kind in Kind if kind in self.model.kinds]
        return [kind for kind in declared if self.new().supports(kind)]

    @property
    def kind(self) -> Kind:
        """The kind of target for checks that need one only."""
        if not self.kinds:
            raise SkipCheck
        return self.kinds[0]

    def expected(self, kind: Kind) -> Predictions:
        """Predictions of `prediction_crystals`."""
        return self._memo.get(
            ("expected", kind), lambda: self.predictions(self.fitted(kind), prediction_crystals(), kind)
        )

    @property
    def spread(self) -> float:
        """Standard deviation of the predictions over `prediction_crystals`."""
        return spread_of(rows_of(self.expected(self.kind)))

    @property
    def is_constant(self) -> bool:
        """Whether all crystals are predicted the same."""
        return self.spread == 0

    def require_resolution(self) -> None:
        """Make sure that a tolerance means something.

        Raises:
            CheckFailure: the differences between predictions are as small as round-off.
        """
        size = float(np.abs(self.expected(self.kind).values).max())
        if 0 < self.spread < _LEAST_SPREAD * size:
            raise CheckFailure(
                f"predictions of about {size:.3g} differ by {self.spread:.1g}, too little to see what they depend on; "
                "if the model needs more training, pass hyperparameters: check_model(..., epochs=50)"
            )

    def drift(self, values: Values) -> float:
        """Largest change of the predictions (n, d) of `prediction_crystals`, in standard deviations."""
        change = float(np.abs(values - rows_of(self.expected(self.kind))).max())
        return change / self.spread if change and self.spread else change

    def require_equal(self, values: Values, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Compare predictions (n, d) with those of `prediction_crystals`, or of some rows of them.

        Raises:
            CheckFailure: they differ by more than the tolerance.
        """
        expected = rows_of(self.expected(self.kind))
        rows = np.arange(len(expected)) if rows is None else rows
        size = float(np.abs(expected).max())
        off = np.abs(values - expected[rows]).max(1)
        if off.max() > TOLERANCE * self.spread + (_ROUND_OFF * size if self.spread else 0.0):
            worst = int(off.argmax())
            row = rows[worst]
            raise CheckFailure(
                f"{prediction_crystals().ids[row]} is predicted {formatted(expected[row])} and "
                f"{formatted(values[worst])}; the standard deviation over crystals is {self.spread:.3g}"
            )

    def _quick(self) -> dict[str, Any]:
        chosen = dict(self.parameters)
        defaults = self.model.from_configuration(chosen).configuration()
        if isinstance(members := defaults.get("members"), str) and "members" not in chosen:
            chosen["members"] = _quick_members(members)
        for name in hyperparameter_types(self.model):
            if (
                name not in QUICK
                or name in chosen
                or not isinstance(defaults[name], int)
                or defaults[name] <= QUICK[name]
            ):
                continue
            try:
                self.model.from_configuration({**chosen, name: QUICK[name]})
            except ConfigError:
                continue
            chosen[name] = QUICK[name]
        return chosen


def _quick_members(text: str) -> str:
    """The members of a stack with quick hyperparameters."""
    quick = []
    for member in parse_members(text):
        limits = {name: QUICK[name] for name, value in member.parameters.items() if name in QUICK and value}
        smaller = {name: min(limit, member.parameters[name]) for name, limit in limits.items()}
        quick.append(replace(member, parameters={**member.parameters, **smaller}))
    return " + ".join(map(str, quick))


def _represented(representation: Representation, inputs: Inputs) -> Arrays:
    """A representation of inputs; small ones are kept, since models and fits share them."""
    key = (type(representation), representation.key, inputs.digest)
    arrays = _REPRESENTED.pop(key, None)
    if arrays is None:
        arrays = representation(inputs)
    if arrays.nbytes < _MOST_BYTES:
        _REPRESENTED[key] = arrays
    while len(_REPRESENTED) > _MOST_ENTRIES:
        del _REPRESENTED[next(iter(_REPRESENTED))]  # the least recently used
    return arrays


@lru_cache(maxsize=1)
def training_crystals() -> tuple[Crystals, Crystals]:
    """The training and the validation part."""
    return random_crystals(1, 24, most_atoms=3), random_crystals(2, 12, most_atoms=3)


@lru_cache(maxsize=1)
def prediction_crystals() -> Crystals:
    """Crystals to predict: random ones in cells of every crystal system, and known structures with their symmetry."""
    return concatenate([random_crystals(3, 14), known_structures()])


def frozen(crystals: Crystals, needs: Needs) -> Inputs:
    """Read-only copies of crystals, or of their compositions if a model needs no more."""
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


def formatted(values: Values) -> str:
    """One row of predictions in a few digits."""
    return ", ".join(f"{v:.7g}" for v in values)


def require_identical(one: Predictions, other: Predictions, what: str) -> None:
    """Compare predictions of `prediction_crystals` exactly.

    Args:
        one: predictions.
        other: predictions.
        what: how the second were made, for the message.

    Raises:
        CheckFailure: they differ.
    """
    differs = (rows_of(one) != rows_of(other)).any(1)
    if differs.any():
        row = int(differs.argmax())
        values = f"{formatted(rows_of(one)[row])} and {formatted(rows_of(other)[row])}"
        raise CheckFailure(
            f"{what}, {prediction_crystals().ids[row]} is predicted {values} ({differs.sum()} rows differ)"
        )
    std, other_std = (np.zeros(0) if p.std is None else p.std for p in (one, other))
    if not np.array_equal(std, other_std):
        raise CheckFailure(f"{what}, the predicted standard deviations differ")
