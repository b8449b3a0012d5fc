"""Small models that break one promise each, for the tests of the contract."""

from __future__ import annotations

import base64
import pickle
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from optuna.distributions import IntDistribution

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Predictions, Samples
from crystalbench.models import Invariance, Model, Needs
from crystalbench.targets import Kind

REGRESSION = frozenset({Kind.REGRESSION})


@dataclass
class Plain(Model):
    """Least squares on the mean atomic number and the volume per atom; keeps every promise.

    Attributes:
        ridge: added to the diagonal.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    kinds: ClassVar[frozenset[Kind]] = REGRESSION
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

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
    """Centres what it reads over the rows asked for."""

    def features(self, samples: Samples) -> np.ndarray:
        features = super().features(samples)
        features[:, 1] -= features[:, 1].mean()
        return features


class GlobalDice(Plain):
    """Draws from NumPy's global generator."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        super().fit(train, valid)
        self.weights = self.weights + np.random.normal(size=3)  # noqa: NPY002
        return self


class SeedsAll(Plain):
    """The same every time, and everyone else's random numbers with it."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        super().fit(train, valid)
        random.seed(self.runtime.seed)
        self.weights = self.weights + random.random()
        return self


class Unsteady(Plain):
    """Predicts a little more every time."""

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
    """Centres the targets in place, whatever it takes."""

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
    """Reads how far atoms are from the origin, and not their nearest image."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def features(self, samples: Samples) -> np.ndarray:
        x = np.sin(samples.crystals.frac_coords).sum(1)
        return np.column_stack([super().features(samples), by_crystal(samples, x)])


class Origin(Plain):
    """Reads where in the cell atoms lie."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def features(self, samples: Samples) -> np.ndarray:
        x = np.sin(2 * np.pi * samples.crystals.frac_coords).sum(1)
        return np.column_stack([super().features(samples), by_crystal(samples, x)])


class Compass(Plain):
    """Reads where the first lattice vector points, and claims to be blind to rotation."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION, Invariance.REFLECTION})

    def features(self, samples: Samples) -> np.ndarray:
        return np.column_stack([super().features(samples), samples.crystals.lattices[:, 0, 0] / 10])


class Handed(Plain):
    """Reads phases, and claims to be blind to reflection."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.REFLECTION})

    def features(self, samples: Samples) -> np.ndarray:
        triplet = np.ones(len(samples), complex)  # its phase is that of no origin
        for miller in ([1, 0, 0], [0, 1, 0], [-1, -1, 0]):
            phases = 2 * np.pi * samples.crystals.frac_coords @ miller
            triplet *= by_crystal(samples, np.cos(phases)) + 1j * by_crystal(samples, np.sin(phases))
        return np.column_stack([super().features(samples), triplet.imag])


class Counts(Plain):
    """Reads the number of atoms, and claims to be blind to supercells."""

    def features(self, samples: Samples) -> np.ndarray:
        return np.column_stack([super().features(samples), samples.crystals.atom_counts / 10])


class Edges(Plain):
    """Reads the lengths of the cell, and claims to be blind to its choice."""

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
    """Saves all but the intercept."""

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.weights = arrays["weights"] * [0, 1, 1]


class ForgetsMore(Plain):
    """Predicts the same again, and cannot be saved again."""

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
    """Needs no structure."""

    def features(self, samples: Samples) -> np.ndarray:
        cells = samples.compositions
        means = np.bincount(cells.owners, cells.fractions * cells.numbers)
        return np.stack([np.ones(len(cells)), means / 50], axis=1)


class Looks(Overstates):
    """Says that compositions are enough, and looks at crystals where it gets them."""

    needs: ClassVar[Needs] = Needs.COMPOSITION

    def features(self, samples: Samples) -> np.ndarray:
        features = super().features(samples)
        if isinstance(samples.inputs, Crystals):
            features[:, 0] += samples.inputs.volumes
        return features


class Faint(Plain):
    """Predicts differences that single precision does not hold."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    def predict(self, samples: Samples) -> Predictions:
        return Predictions(1000 + 1e-6 * super().predict(samples).values)


class StopsShort(Plain):
    """Counts from 0."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        for step in range(4):
            self.runtime.progress(step, 4)
        self.runtime.progress = lambda *_, **__: None
        return super().fit(train, valid)


class GoesBack(Plain):
    """Reports one step twice as far."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.runtime.progress(1, 2)
        self.runtime.progress(2, 2)
        return super().fit(train, valid)


BREAKS: list[tuple[type[Model], str, str]] = [
    (Peeks, "it predicts rows whose targets are not given", "they carry no targets"),
    (Remembers, "ids of rows are names", "spread by"),
    (BatchMates, "every row is predicted by itself", "is predicted"),
    (GlobalDice, "same seed, same result", "regression: fitted twice with the same runtime.seed"),
    (SeedsAll, "it draws from runtime.seed alone", "changes the global random state of random"),
    (Unsteady, "asked again, it predicts the same", "regression: asked twice"),
    (Writes, "it changes neither its inputs nor its targets", "it writes to them"),
    (WritesTargets, "it changes neither its inputs nor its targets", "they are others after fit and predict"),
    (FirstAtom, "the order of the atoms changes nothing", "is predicted"),
    (Images, "which periodic image of an atom is given changes nothing", "is predicted"),
    (Origin, "the origin of the cell changes nothing", "is predicted"),
    (Compass, "rotation changes nothing, as promised", "is predicted"),
    (Handed, "reflection changes nothing, as promised", "is predicted"),
    (Counts, "a supercell changes nothing, as promised", "is predicted"),
    (Edges, "the choice of the cell changes nothing, as promised", "is predicted"),
    (Heavy, "strange crystals are predicted", "atom-095: its prediction is not finite"),
    (Forgets, "saved and loaded, it predicts the same", "regression: saved and loaded, crystal-0 is predicted"),
    (ForgetsMore, "saved and loaded, it predicts the same", "saved again, its model.json is another"),
    (Pickles, "what it saves are numbers and JSON", "the array 'all' is a pickled object"),
    (PicklesAsText, "what it saves are numbers and JSON", "a string in its facts is a pickled object"),
    (Overstates, "it sees only what it says that it needs", "could declare Needs.COMPOSITION"),
    (Looks, "it sees only what it says that it needs", "shown compositions, and then crystals"),
    (Faint, "it predicts different crystals differently", "too little to tell what they depend on"),
    (StopsShort, "progress goes forward to the end", "it stops at 3 of 4"),
    (GoesBack, "progress goes forward to the end", "1 of 2, 2 of 2, 1 of 1"),
]


ALSO: dict[type[Model], list[str]] = {
    GlobalDice: ["it draws from runtime.seed alone"],
    Images: ["the origin of the cell changes nothing"],
}
"""What a model cannot break its promise without."""
