"""Small models that fail one check each, and the checks that fail, for the tests of `check_model`."""

from __future__ import annotations

import base64
import pickle
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Predictions, Samples
from crystalbench.models import Invariance, Model, Needs, Sees
from crystalbench.targets import Kind
from crystalbench.testing import ContractError, check_model

REGRESSION = frozenset({Kind.REGRESSION})
FITS = "every declared kind of target can be fitted"


def failed_checks(model: type[Model], **parameters: Any) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        check_model(model, **parameters)
    error = caught.value
    assert str(error).startswith(f"{model.__name__} fails {len(error.failures)} of ")
    assert all(f"\n  {check}: {reason}" in str(error) for check, reason in error.failed.items())
    return error.failed


@dataclass
class Plain(Model):
    """Least squares on the mean atomic number and the volume per atom; passes every check.

    Attributes:
        ridge: added to the diagonal.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    kinds: ClassVar[frozenset[Kind]] = REGRESSION
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.DESCRIPTORS

    ridge: Annotated[int, IntDistribution(0, 10)] = 1

    def features(self, samples: Samples) -> np.ndarray:
        crystals = samples.crystals
        means = np.bincount(crystals.owners, crystals.numbers) / crystals.atom_counts
        volumes = crystals.volumes / crystals.atom_counts
        return np.stack([np.ones(len(crystals)), means / 50, volumes / 30], axis=1)

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.target = train.target
        x, y = self.features(train), train.targets
        self.weights = np.linalg.solve(x.T @ x + self.ridge * np.eye(x.shape[1]), x.T @ y)
        self.runtime.progress(1, 1)
        return self

    def predict(self, samples: Samples) -> Predictions:
        return Predictions((self.features(samples) * self.weights).sum(1))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"weights": self.weights}, {}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.weights = arrays["weights"]


def by_crystal(samples: Samples, atoms: np.ndarray) -> np.ndarray:
    """Means (n,) of values of atoms."""
    crystals = samples.crystals
    return np.bincount(crystals.owners, atoms) / crystals.atom_counts


class Peeks(Plain):
    """Looks at the targets of the rows to predict."""

    def predict(self, samples: Samples) -> Predictions:
        return Predictions(samples.targets)


class Remembers(Plain):
    """Knows the rows that it was fitted to by their ids."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.known = dict(zip(train.ids.tolist(), train.targets.tolist(), strict=True))
        return super().fit(train, valid)

    def predict(self, samples: Samples) -> Predictions:
        own = super().predict(samples).values
        return Predictions(np.array([self.known.get(i, v) for i, v in zip(samples.ids.tolist(), own, strict=True)]))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"weights": self.weights}, {"known": self.known}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        super().restore(arrays, facts)
        self.known = facts["known"]


class BatchMates(Plain):
    """Centres its features over the rows of a call."""

    def features(self, samples: Samples) -> np.ndarray:
        features = super().features(samples)
        features[:, 1] -= features[:, 1].mean()
        return features


class GlobalDice(Plain):
    """Uses NumPy's global generator."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        super().fit(train, valid)
        self.weights = self.weights + np.random.normal(size=3)  # noqa: NPY002
        return self


class SeedsAll(Plain):
    """Seeds the global generator, which others use."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        super().fit(train, valid)
        random.seed(self.runtime.seed)
        self.weights = self.weights + random.random()
        return self


class Unsteady(Plain):
    """Predicts a little more at every call."""

    times = 0

    def predict(self, samples: Samples) -> Predictions:
        self.times += 1
        return Predictions(super().predict(samples).values + 1e-9 * self.times)


class Writes(Plain):
    """Scales its input in place."""

    def features(self, samples: Samples) -> np.ndarray:
        samples.crystals.lattices[:] *= 1.0
        return super().features(samples)


class WritesTargets(Plain):
    """Centres the targets in place, even if they are read-only."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        super().fit(train, valid)
        train.targets.flags.writeable = True
        train.targets[:] -= train.targets.mean()
        return self


class FirstAtom(Plain):
    """Reads the first atom."""

    def features(self, samples: Samples) -> np.ndarray:
        crystals = samples.crystals
        return np.column_stack([super().features(samples), crystals.numbers[crystals.offsets[:-1]] / 50])


class Images(Plain):
    """Depends on which periodic image of an atom is given."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def features(self, samples: Samples) -> np.ndarray:
        x = np.sin(samples.crystals.frac_coords).sum(1)
        return np.column_stack([super().features(samples), by_crystal(samples, x)])


class Origin(Plain):
    """Depends on the positions of the atoms in the cell."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def features(self, samples: Samples) -> np.ndarray:
        x = np.sin(2 * np.pi * samples.crystals.frac_coords).sum(1)
        return np.column_stack([super().features(samples), by_crystal(samples, x)])


class Compass(Plain):
    """Depends on the direction of the first lattice vector, but declares rotation."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION, Invariance.REFLECTION})

    def features(self, samples: Samples) -> np.ndarray:
        return np.column_stack([super().features(samples), samples.crystals.lattices[:, 0, 0] / 10])


class Handed(Plain):
    """Depends on a triplet phase, but declares reflection."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.REFLECTION})

    def features(self, samples: Samples) -> np.ndarray:
        triplet = np.ones(len(samples), complex)  # its phase does not depend on the origin
        for miller in ([1, 0, 0], [0, 1, 0], [-1, -1, 0]):
            phases = 2 * np.pi * samples.crystals.frac_coords @ miller
            triplet *= by_crystal(samples, np.cos(phases)) + 1j * by_crystal(samples, np.sin(phases))
        return np.column_stack([super().features(samples), triplet.imag])


class Counts(Plain):
    """Depends on the number of atoms, but declares supercells."""

    def features(self, samples: Samples) -> np.ndarray:
        return np.column_stack([super().features(samples), samples.crystals.atom_counts / 10])


class Edges(Plain):
    """Depends on the lengths of the cell, but declares the cell choice."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.CELL_CHOICE, Invariance.ROTATION})

    def features(self, samples: Samples) -> np.ndarray:
        lengths = np.linalg.norm(samples.crystals.lattices, axis=2).max(1)
        return np.column_stack([super().features(samples), lengths / 10])


class Heavy(Plain):
    """Has no data beyond plutonium."""

    def features(self, samples: Samples) -> np.ndarray:
        features = super().features(samples)
        crystals = samples.crystals
        features[np.maximum.reduceat(crystals.numbers, crystals.offsets[:-1]) > 94, 1] = np.nan
        return features


class Forgets(Plain):
    """Restores all but the intercept."""

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.weights = arrays["weights"] * [0, 1, 1]


class ForgetsMore(Plain):
    """Predicts the same after loading, but saves something else."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"weights": self.weights}, {"note": getattr(self, "note", "fitted")}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        super().restore(arrays, facts)
        self.note = "loaded"


class Pickles(Plain):
    """Hides pickled objects in an array."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"all": np.frombuffer(pickle.dumps(self.weights), np.uint8)}, {}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.weights = pickle.loads(arrays["all"].tobytes())


class PicklesAsText(Plain):
    """Hides pickled objects in a fact."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {}, {"all": [base64.b64encode(pickle.dumps(self.weights)).decode()]}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.weights = pickle.loads(base64.b64decode(facts["all"][0]))


class Overstates(Plain):
    """Declares that it needs structures, but uses compositions only."""

    def features(self, samples: Samples) -> np.ndarray:
        cells = samples.compositions
        means = np.bincount(cells.owners, cells.fractions * cells.numbers)
        return np.stack([np.ones(len(cells)), means / 50], axis=1)


class Looks(Overstates):
    """Declares that compositions are enough, but uses crystals if it gets them."""

    needs: ClassVar[Needs] = Needs.COMPOSITION
    sees: ClassVar[Sees] = Sees.COMPOSITION

    def features(self, samples: Samples) -> np.ndarray:
        features = super().features(samples)
        if isinstance(samples.inputs, Crystals):
            features[:, 0] += samples.inputs.volumes
        return features


class Faint(Plain):
    """Predicts differences that are lost in single precision."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def predict(self, samples: Samples) -> Predictions:
        return Predictions(1000 + 1e-6 * super().predict(samples).values)


class StopsShort(Plain):
    """Reports progress from 0 to 3 of 4."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        for step in range(4):
            self.runtime.progress(step, 4)
        self.runtime.progress = lambda *_, **__: None
        return super().fit(train, valid)


class GoesBack(Plain):
    """Reports different totals."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.runtime.progress(1, 2)
        self.runtime.progress(2, 2)
        return super().fit(train, valid)


FAILING: list[tuple[type[Model], str, str]] = [
    (Peeks, "predictions are valid, without targets", "they have no targets"),
    (Remembers, "ids have no influence", "the standard deviation over crystals"),
    (BatchMates, "rows are predicted independently", "is predicted"),
    (GlobalDice, "same seed, same result", "regression: fitted twice with the same runtime.seed"),
    (SeedsAll, "randomness comes from runtime.seed only", "changes the global random state of random"),
    (Unsteady, "repeated predictions are identical", "regression: predicted twice"),
    (Writes, "inputs and targets are not modified", "fit or predict writes to them"),
    (WritesTargets, "inputs and targets are not modified", "they differ after fit and predict"),
    (FirstAtom, "atom order has no influence", "is predicted"),
    (Images, "periodic images of atoms have no influence", "is predicted"),
    (Origin, "origin of the cell has no influence", "is predicted"),
    (Compass, "rotation has no influence, as declared", "is predicted"),
    (Handed, "reflection has no influence, as declared", "is predicted"),
    (Counts, "supercells have no influence, as declared", "is predicted"),
    (Edges, "cell choice has no influence, as declared", "is predicted"),
    (Heavy, "edge cases are predicted", "atom-095: its prediction is not finite"),
    (Forgets, "saved and loaded, it predicts the same", "regression: saved and loaded, crystal-0 is predicted"),
    (ForgetsMore, "saved and loaded, it predicts the same", "after loading, it saves a different model.json"),
    (Pickles, "saved data are numbers and JSON", "the array 'all' is a pickled object"),
    (PicklesAsText, "saved data are numbers and JSON", "a string in its facts is a pickled object"),
    (Overstates, "only the declared inputs are used", "declare Needs.COMPOSITION"),
    (Looks, "only the declared inputs are used", "from compositions and from crystals"),
    (Faint, "predictions differ by more than round-off", "too little to see what they depend on"),
    (StopsShort, "progress reaches the end, if it is reported", "it stops at 3 of 4"),
    (GoesBack, "progress reaches the end, if it is reported", "1 of 2, 2 of 2, 1 of 1"),
]


ALSO: dict[type[Model], list[str]] = {
    GlobalDice: ["randomness comes from runtime.seed only"],
    Images: ["origin of the cell has no influence"],
}
"""Further checks that a model cannot avoid failing."""
