from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import TARGETS, random_crystals, samples_of, supercells

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Needs, Runtime, search_space
from crystalbench.models.forests.descriptor_forest import DescriptorForest
from crystalbench.models.forests.forest import ALGORITHMS
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.targets import Kind


def quick(**parameters: Any) -> DescriptorForest:
    return DescriptorForest.from_configuration({"trees": 15, "learning_rate": 0.2, "bank": "gong28"} | parameters)


def volumes(crystals: Crystals) -> Samples:
    """Samples whose target is the volume per atom, which no composition tells."""
    return Samples(crystals, TARGETS[Kind.REGRESSION], crystals.volumes / crystals.atom_counts)


class Given:
    """Samples whose descriptors are given numbers."""

    def __init__(self, values: np.ndarray, targets: np.ndarray | None = None) -> None:
        self.values = values
        self.samples = Samples(random_crystals(0, len(values)), TARGETS[Kind.REGRESSION], targets, represent=self.rows)

    def rows(self, representation: Any, rows: np.ndarray) -> Arrays:
        assert isinstance(representation, DescriptorBank)
        values = self.values[rows]
        return Arrays({"descriptors": values}, {"descriptors": Layout(CRYSTAL)}, {}, len(values))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", list(Kind))
def test_it_learns_from_structures(algorithm: str, kind: Kind) -> None:
    train, valid, test = (samples_of(random_crystals(s, 60, most_atoms=2), kind) for s in (1, 2, 3))
    model = quick(algorithm=algorithm).fit(train, valid)
    values = model.predict(test).checked(test.target, test.ids).values
    if kind is Kind.REGRESSION:
        assert np.abs(values - test.targets).mean() < 0.6 * np.abs(test.targets - train.targets.mean()).mean()
    else:
        chosen = values.argmax(1) if kind is Kind.MULTICLASS else values > 0.5
        assert (chosen == test.targets).mean() > 0.6


def test_it_sees_what_no_composition_tells() -> None:
    train, test = volumes(random_crystals(1, 80, most_atoms=2)), volumes(random_crystals(2, 20, most_atoms=2))
    model = quick(with_composition=False, max_features=1.0).fit(train, train)
    errors = np.abs(model.predict(test).values - test.targets)
    assert errors.mean() < 0.25 * np.abs(test.targets - train.targets.mean()).mean()


@pytest.mark.parametrize(
    ("bank", "added", "columns"), [("gong28", False, 28), ("gong28", True, 174), ("rich", True, 0)]
)
def test_features_are_the_bank_and_the_composition_once(bank: str, added: bool, columns: int) -> None:
    samples = samples_of(random_crystals(1, 5, most_atoms=2))
    model = quick(bank=bank, with_composition=added).fit(samples, samples)
    assert model._features(samples).shape == (5, columns or len(DescriptorBank("rich").labels))


def test_what_is_missing_gets_the_median_of_the_training_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 28))
    values[0, 3], values[1, 3], values[:, 5] = np.nan, np.inf, np.nan
    train, valid = Given(values, np.arange(9.0)), Given(values + 100, np.arange(9.0))
    model = quick(with_composition=False).fit(train.samples, valid.samples)
    test = np.full((2, 28), np.nan)
    test[1] = 1e300
    features = model._features(Given(test).samples)
    assert features[0, 3] == np.median(values[2:, 3])  # of rows where it is known, and not of the validation part
    assert features[0, 5] == 0.0  # known nowhere
    assert np.isfinite(features.astype(np.float32)).all()
    assert np.isfinite(model.predict(Given(test).samples).values).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_crystal_that_cannot_be_described_is_predicted(algorithm: str) -> None:
    train = samples_of(random_crystals(1, 30, most_atoms=2))
    broken = Crystals.from_flat(np.eye(3)[None] * 4, np.zeros((2, 3)), [2, 2], [2], ["one on another"])
    model = quick(algorithm=algorithm).fit(train, train)
    assert np.isfinite(model.predict(Samples(broken, train.target)).values).all()


def test_supercells_differ_only_by_the_size_of_the_cell() -> None:
    crystals = random_crystals(1, 20, most_atoms=2)
    forest = quick(with_composition=False).fit(volumes(crystals), volumes(crystals))
    one = forest._features(Samples(crystals, TARGETS[Kind.REGRESSION]))
    other = forest._features(Samples(supercells(crystals, (2, 1, 1)), TARGETS[Kind.REGRESSION]))
    changed = ~np.isclose(one, other, rtol=1e-6, atol=1e-6).all(0)
    names = {label for label, new in zip(DescriptorBank().labels, changed, strict=True) if new}
    assert names == {"structural complexity per cell", "a", "natoms"}


def test_the_seed_decides() -> None:
    train, test = samples_of(random_crystals(1, 40, most_atoms=2)), samples_of(random_crystals(2, 10, most_atoms=2))
    results = []
    for seed in (1, 1, 2):
        model = quick()
        model.runtime = Runtime(seed=seed)
        results.append(model.fit(train, train).predict(test).values)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_search_space_and_needs() -> None:
    assert DescriptorForest.needs is Needs.STRUCTURE
    space = search_space(DescriptorForest)
    assert set(space) == set(DescriptorForest().configuration())
    assert space["bank"].choices == ("gong28", "rich")  # type: ignore[attr-defined]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="gong28"):
        DescriptorForest(bank="gong")
    with pytest.raises(ConfigError, match="algorithm"):
        DescriptorForest(algorithm="forest")
    with pytest.raises(ConfigError, match="with_composition"):
        DescriptorForest.from_configuration({"with_composition": "yes"})
    rows = Samples(Compositions.from_formulas(["NaCl", "Fe"]), TARGETS[Kind.REGRESSION], np.zeros(2))
    with pytest.raises(DataError, match="structures"):
        quick().fit(rows, rows)
