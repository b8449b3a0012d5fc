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
from crystalbench.models.forests.descriptors import (
    DescriptorBoosting,
    DescriptorForest,
    DescriptorRandomForest,
    OnDescriptors,
)
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.targets import Kind

QUICK: dict[type[OnDescriptors], dict[str, Any]] = {
    DescriptorForest: {"trees": 15},
    DescriptorRandomForest: {"trees": 15},
    DescriptorBoosting: {"rounds": 15, "learning_rate": 0.2},
}
ALGORITHMS = list(QUICK)


def quick(algorithm: type[OnDescriptors] = DescriptorForest, **parameters: Any) -> OnDescriptors:
    return algorithm.from_configuration({"bank": "gong28", **QUICK[algorithm], **parameters})


def volumes(crystals: Crystals) -> Samples:
    """Samples whose target is the volume per atom, which the composition does not determine."""
    return Samples(crystals, TARGETS[Kind.REGRESSION], crystals.volumes / crystals.atom_counts)


class FixedDescriptors:
    """Samples whose descriptors are the given numbers."""

    def __init__(self, values: np.ndarray, targets: np.ndarray | None = None) -> None:
        self.values = values
        self.samples = Samples(random_crystals(0, len(values)), TARGETS[Kind.REGRESSION], targets, represent=self.rows)

    def rows(self, representation: Any, rows: np.ndarray) -> Arrays:
        assert isinstance(representation, DescriptorBank)
        values = self.values[rows]
        return Arrays({"descriptors": values}, {"descriptors": Layout(CRYSTAL)}, {}, len(values))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", list(Kind))
def test_it_learns_from_structures(algorithm: type[OnDescriptors], kind: Kind) -> None:
    train, valid, test = (samples_of(random_crystals(s, 60, most_atoms=2), kind) for s in (1, 2, 3))
    model = quick(algorithm, bank="gong28+magpie").fit(train, valid)
    values = model.predict(test).checked(test.target, test.ids).values
    if kind is Kind.REGRESSION:
        assert np.abs(values - test.targets).mean() < 0.6 * np.abs(test.targets - train.targets.mean()).mean()
    else:
        chosen = values.argmax(1) if kind is Kind.MULTICLASS else values > 0.5
        assert (chosen == test.targets).mean() > 0.6


def test_it_sees_what_the_composition_does_not_determine() -> None:
    train, test = volumes(random_crystals(1, 80, most_atoms=2)), volumes(random_crystals(2, 20, most_atoms=2))
    model = quick(max_features=1.0).fit(train, train)
    errors = np.abs(model.predict(test).values - test.targets)
    assert errors.mean() < 0.25 * np.abs(test.targets - train.targets.mean()).mean()


@pytest.mark.parametrize(
    ("bank", "columns"),
    [("gong28", 28), ("gong28+magpie", 28 + 146), ("rich", 394), ("atom_count", 1), ("space_group_volume", 3)],
)
def test_features_are_the_columns_of_the_bank(bank: str, columns: int) -> None:
    samples = samples_of(random_crystals(1, 5, most_atoms=2))
    model = quick(bank=bank).fit(samples, samples)
    assert model._features(samples).shape == (5, columns)


def test_missing_values_are_imputed_by_the_median_of_all_rows_to_fit() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 28))
    values[0, 3], values[1, 3], values[:, 5] = np.nan, np.inf, np.nan
    train, valid = FixedDescriptors(values, np.arange(9.0)), FixedDescriptors(values + 100, np.arange(9.0))
    model = quick().fit(train.samples, valid.samples)
    test = np.full((2, 28), np.nan)
    test[1] = 1e300
    features = model._features(FixedDescriptors(test).samples)
    known = values[2:, 3]  # the other rows lack it
    assert features[0, 3] == np.median(
        np.concatenate(
            [
                known,
                known + 100,
            ]
        )
    )
    assert features[0, 5] == 0.0  # missing in all rows
    assert np.isfinite(features.astype(np.float32)).all()
    assert np.isfinite(model.predict(FixedDescriptors(test).samples).values).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_crystal_that_cannot_be_described_is_predicted(algorithm: type[OnDescriptors]) -> None:
    train = samples_of(random_crystals(1, 30, most_atoms=2))
    broken = Crystals.from_flat(np.eye(3)[None] * 4, np.zeros((2, 3)), [2, 2], [2], ["one on another"])
    model = quick(algorithm).fit(train, train)
    assert np.isfinite(model.predict(Samples(broken, train.target)).values).all()


def test_supercells_differ_only_by_the_size_of_the_cell() -> None:
    crystals = random_crystals(1, 20, most_atoms=2)
    forest = quick().fit(volumes(crystals), volumes(crystals))
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
    assert set(space) == {"bank", "trees", "max_features"}  # validation rows choose the leaf size
    assert space["bank"].choices == ("gong28", "gong28+magpie", "rich")  # type: ignore[attr-defined]


def test_invalid_hyperparameters_and_compositions_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'gong28'"):
        DescriptorForest(bank="gong")
    with pytest.raises(UnknownNameError, match="with_composition"):
        DescriptorForest.from_configuration({"with_composition": True})
    rows = Samples(Compositions.from_formulas(["NaCl", "Fe"]), TARGETS[Kind.REGRESSION], np.zeros(2))
    with pytest.raises(DataError, match="structures"):
        quick().fit(rows, rows)


def test_boosting_does_not_depend_on_round_off() -> None:
    """Descriptors that vanish by symmetry are 0 or about 1e-16, and LightGBM would split between the two."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 28))
    values[:, 0] = np.where(np.arange(200) % 2, 0.0, 1e-16)
    train = FixedDescriptors(values, np.arange(200) % 2 * 5.0)
    model = quick(DescriptorBoosting).fit(train.samples, train.samples)
    one, other = (values[:10].copy() for _ in range(2))
    one[:, 0], other[:, 0] = 0.0, 1e-16
    predictions = [model.predict(FixedDescriptors(rows).samples).values for rows in (one, other)]
    assert np.array_equal(*predictions)
