"""Models of the composition: attention weighted by fractions, and forests with fractions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import random_crystals, samples_of

from crystalbench.data.compositions import Compositions
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models import CompositionAttention, CompositionForest
from crystalbench.models.composition_attention import ElementAttention
from crystalbench.models.forests.labels import Ranking
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.targets import Kind
from crystalbench.testing.samples import TARGETS

FORMULAS = ["Fe2O3", "NaCl", "Si", "LaBaCuO3", "Fe62Ni38"]


def batch_of(*formulas: str) -> Batch:
    samples = Samples(Compositions.from_formulas(formulas), TARGETS[Kind.REGRESSION])
    return DeviceArrays(CompositionAttention().inputs(samples), "cpu").batch(np.arange(len(formulas)))


@pytest.fixture
def encoder() -> ElementAttention:
    torch.manual_seed(0)
    return ElementAttention("properties", 16, 2, 4, 0.1).eval()


def test_inputs_are_padded_with_zeros() -> None:
    batch = batch_of("Fe2O3", "Si")
    assert batch["elements"].tolist() == [[8, 26], [14, 0]]
    assert batch["fractions"].numpy() == pytest.approx(np.array([[0.6, 0.4], [1, 0]]))


@torch.no_grad()
def test_padding_and_rare_elements_have_no_influence(encoder: ElementAttention) -> None:
    together = encoder(batch_of(*FORMULAS))
    alone = torch.cat([encoder(batch_of(formula)) for formula in FORMULAS])
    assert together.numpy() == pytest.approx(alone.numpy(), abs=1e-5)
    traces = encoder(batch_of("Fe2O3", "Fe2O3U0.0000001"))
    assert traces[1].numpy() == pytest.approx(traces[0].numpy(), abs=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


@torch.no_grad()
def test_splitting_an_element_into_two_equal_ones_changes_only_the_encoding_of_its_fraction(
    encoder: ElementAttention,
) -> None:
    torch.nn.init.zeros_(encoder.fraction.weight)
    whole, split = batch_of("Fe2O3", "Fe2O3"), batch_of("Fe2O3", "Fe2O3")
    split.values["elements"] = torch.tensor([[8, 8, 26]] * 2)
    split.values["fractions"] = torch.tensor([[0.5, 0.1, 0.4]] * 2)
    assert encoder(split).numpy() == pytest.approx(encoder(whole).numpy(), abs=1e-5)


@torch.no_grad()
def test_elements_attend_to_each_other(encoder: ElementAttention) -> None:
    """Otherwise the embedding of a mixture would be the mean of its elements' with the same fractions."""
    torch.nn.init.zeros_(encoder.fraction.weight)
    mixed, iron, oxygen = encoder(batch_of("FeO", "Fe", "O"))
    assert not torch.allclose(mixed, (iron + oxygen) / 2, atol=1e-3)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="width = 10 must be a multiple of heads = 4"):
        CompositionAttention(width=10)


def test_a_forest_with_fractions_tells_elements_apart_that_magpie_does_not() -> None:
    """Trees of one split on fractions find the element that decides."""
    crystals = random_crystals(0, 60)
    rows = samples_of(crystals)
    oxygen = np.array(["O" in system.split("-") for system in crystals.compositions().chemical_systems()], float)
    rows = Samples(crystals.compositions(), rows.target, oxygen)
    model = CompositionForest(trees=50).fit(rows[:40], rows[40:])
    assert np.abs(model.predict(rows.to_predict()).values - oxygen).mean() < 0.05
    features = model._features(rows)
    assert features.shape == (60, 146 + 118)
    assert CompositionForest(features="magpie+fractions+matscholar")._features(rows).shape == (60, 146 + 118 + 200)


def test_ranks_are_read_back_as_the_targets() -> None:
    targets = np.array([3.0, -1.0, 3.0, 1e6, 0.5])
    ranking = Ranking.fit(targets)
    assert ranking(targets) == pytest.approx([0.625, 0, 0.625, 1, 0.25])
    assert ranking.inverse(ranking(targets)) == pytest.approx(targets)
    assert ranking.inverse(np.array([[0.125, -1.0], [2.0, 0.25]])) == pytest.approx(
        np.array([[-0.25, -1.0], [1e6, 0.5]])
    )
    assert Ranking.fit(np.array([7.0])).inverse(np.zeros(2)).tolist() == [7.0, 7.0]


def test_trees_on_ranks_are_the_same_for_any_increasing_function_of_the_targets() -> None:
    rows = samples_of(random_crystals(0, 60))
    cubed = Samples(rows.crystals, rows.target, (rows.targets - rows.targets.mean()) ** 3)
    options = {"trees": 21, "min_samples_leaf": 1}  # the median of an odd number of trees is the target of one row
    plain, other = (CompositionForest(**options).fit(part[:40], part[40:50]) for part in (rows, cubed))
    found, expected = (m.predict(rows[50:].to_predict()).values for m in (other, plain))
    assert found == pytest.approx((expected - rows.targets.mean()) ** 3)
    values = CompositionForest(**options, targets="values").fit(rows[:40], rows[40:50]).predict(rows[50:].to_predict())
    assert values.std is not None and not np.array_equal(values.values, expected)
