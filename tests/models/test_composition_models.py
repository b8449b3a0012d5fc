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
