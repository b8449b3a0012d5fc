from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TARGETS, changed, one_crystal, random_crystals, samples_of, supercells
from torch import Tensor, nn

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models import load_model, save_model, search_space
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.columns import LARGEST, Exchanged, Imputation, Scaling, within_range
from crystalbench.models.diffraction.spectrum import DiffractionSpectrum
from crystalbench.models.hybrid import SHUFFLED, Hybrid, HybridDiffraction, HybridNested, HybridSEN, WithDescriptors
from crystalbench.models.nested import Nested
from crystalbench.models.network import NetworkModel
from crystalbench.models.sen import SEN
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.representations import Arrays, CrystalGraph, DescriptorBank
from crystalbench.targets import Kind

SMALL: dict[str, Any] = {"width": 8, "layers": 1, "head_width": 8, "descriptor_width": 4, "epochs": 3, "batch_size": 16}


def rows(crystals: Crystals) -> Samples:
    return Samples(crystals, TARGETS[Kind.REGRESSION])


def fitted(model: NetworkModel, seed: int = 1) -> Any:
    return model.fit(samples_of(random_crystals(seed, 28, most_atoms=3)), samples_of(random_crystals(2, 14)))


@pytest.mark.parametrize("kind", [Hybrid, HybridSEN, HybridNested, HybridDiffraction])
def test_descriptors_are_concatenated_to_the_embedding_of_any_network(kind: type[WithDescriptors]) -> None:
    torch.manual_seed(0)
    model = kind.from_configuration({**SMALL, "bank": "gong28"})
    fitted(model)
    body = model.body()
    crystals = random_crystals(3, 6)
    batch = DeviceArrays(model.inputs(rows(crystals)), "cpu").batch(np.arange(6))
    embedding = body.eval()(batch)
    assert embedding.shape == (6, body.width)
    batch.values["descriptors"] += 1
    changed_part = (body(batch) != embedding).any(0)
    assert not changed_part[: -SMALL["descriptor_width"]].any()
    assert changed_part[-SMALL["descriptor_width"] :].any()


@pytest.mark.parametrize(
    ("hybrid", "network"),
    [(Hybrid, CGCNN), (HybridSEN, SEN), (HybridNested, Nested), (HybridDiffraction, DiffractionSpectrum)],
)
def test_a_hybrid_has_the_hyperparameters_of_its_network(hybrid: type[Any], network: type[Any]) -> None:
    own, plain = hybrid().configuration(), network().configuration()
    assert plain.items() <= own.items()
    assert set(own) - set(plain) == {"bank", "descriptor_width", "descriptor_dropout"}
    assert search_space(network).items() <= search_space(hybrid).items()


def test_any_network_becomes_a_hybrid_in_one_line() -> None:
    @dataclass
    class Mine(NetworkModel):
        representation = CrystalGraph(neighbors=4)

        def encoder(self) -> nn.Module:
            return Elements()

    @dataclass
    class Both(WithDescriptors, Mine):
        pass

    model = fitted(Both(bank="atom_count", head_width=8, epochs=2))
    assert np.isfinite(model.predict(rows(random_crystals(4, 5))).values).all()
    assert {"bank", "head_width", "descriptor_dropout"} <= set(model.configuration())


class Elements(nn.Module):
    width = 3

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(119, 3)

    def forward(self, batch: Batch) -> Tensor:
        return batch.mean(self.embedding(batch["numbers"]), "atom")


def test_the_atom_count_distinguishes_a_supercell_from_its_cell() -> None:
    model = fitted(Hybrid(**SMALL, bank="atom_count"))
    crystals = random_crystals(5, 8, most_atoms=1)  # the training rows have up to three
    double = supercells(crystals, (2, 1, 1))
    plain, larger = (model.inputs(rows(c)).values["descriptors"] for c in (crystals, double))
    assert plain.shape == (8, 1)
    assert (larger > plain).all()
    assert np.abs(model.predict(rows(double)).values - model.predict(rows(crystals)).values).min() > 1e-4


def test_imputation_and_scaling_are_fitted_to_the_rows_to_fit_only() -> None:
    model = fitted(Hybrid(**SMALL, bank="gong28"))
    parts = [random_crystals(1, 28, most_atoms=3), random_crystals(2, 14)]  # see `fitted`
    values = DescriptorBank()(concatenate(parts)).values["descriptors"]
    np.testing.assert_array_equal(model._imputation.medians, np.nanmedian(values, axis=0))
    np.testing.assert_allclose(model._scaling.means, model._imputation(values).mean(0))


def test_a_descriptor_that_cannot_be_computed_is_imputed() -> None:
    model = fitted(Hybrid(**SMALL, bank="gong28"))
    neon = one_crystal(np.eye(3) * 4, [[0, 0, 0]], 10)  # has no atomic radius
    column = DescriptorBank().labels.index("packing fraction")
    assert np.isnan(DescriptorBank()(neon).values["descriptors"][0, column])
    filled = model.inputs(rows(neon)).values["descriptors"][0, column]
    expected = (model._imputation.medians[column] - model._scaling.means[column]) / model._scaling.scales[column]
    assert filled == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(model.predict(rows(neon)).values).all()


def test_saving_keeps_imputation_and_scaling(tmp_path: Path) -> None:
    model = fitted(Hybrid(**SMALL, bank="gong28"))
    save_model(model, tmp_path / "model")
    crystals = random_crystals(6, 7)
    crystals = changed(crystals, numbers=np.where(np.arange(len(crystals.numbers)) == 0, 10, crystals.numbers))
    again = load_model(tmp_path / "model")
    assert np.array_equal(again.predict(rows(crystals)).values, model.predict(rows(crystals)).values)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"bank": "gong"}, ConfigError, "Did you mean 'gong28'"),
        ({"descriptor_width": 0}, ConfigError, "descriptor_width = 0; it must be at least 1"),
        ({"descriptor_dropout": 1.0}, ConfigError, "descriptor_dropout = 1.0; it must be in"),
    ],
)
def test_invalid_hyperparameters_are_refused(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Hybrid.from_configuration(parameters)


# ---------------------------------------------------------------------- controls


def test_shuffled_descriptors_are_those_of_rows_to_fit_and_say_nothing() -> None:
    crystals = random_crystals(1, 40, most_atoms=3)
    model = fitted(Hybrid(**SMALL, bank=SHUFFLED))
    pool = {row.tobytes() for row in model._exchanged.pool}
    drawn = model._values(rows(crystals))
    assert len(model._exchanged.pool) == 28 + 14
    assert {row.tobytes() for row in drawn} <= pool
    assert len({row.tobytes() for row in drawn}) > 10
    np.testing.assert_array_equal(model._values(rows(crystals[[3, 1]])), drawn[[3, 1]])  # rows are independent
    np.testing.assert_array_equal(model._values(rows(changed(crystals, ids=crystals.ids[::-1]))), drawn)


def test_which_descriptors_a_crystal_gets_says_nothing_of_it() -> None:
    crystals = random_crystals(5, 800, most_atoms=3)
    drawn = Exchanged(np.arange(50.0)[:, None])(crystals)[:, 0]
    assert np.unique(drawn).tolist() == list(range(50))
    for fact in (crystals.volumes, crystals.atom_counts, crystals.numbers[crystals.offsets[:-1]]):
        assert abs(np.corrcoef(drawn, fact)[0, 1]) < 0.1  # 2.8 standard errors


def test_shuffled_descriptors_are_saved(tmp_path: Path) -> None:
    model = fitted(Hybrid(**SMALL, bank=SHUFFLED))
    save_model(model, tmp_path / "m")
    crystals = random_crystals(3, 6)
    loaded = load_model(tmp_path / "m")
    assert np.array_equal(loaded.predict(rows(crystals)).values, model.predict(rows(crystals)).values)


def test_controls_see_what_the_network_sees() -> None:
    assert Hybrid(bank=SHUFFLED).sees is Hybrid(bank="atom_count").sees is CGCNN().sees
    assert Hybrid(bank="gong28_without_cell").sees is Hybrid(bank="gong28").sees is not CGCNN().sees


# ---------------------------------------------------------------------- columns


def test_columns_are_imputed_by_the_median_and_standardised() -> None:
    train = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0], [np.nan, np.nan, 5.0], [2.0, np.nan, 5.0]])
    filled = Imputation.fit(train)(train)
    np.testing.assert_array_equal(filled[2], [2.0, 0.0, 5.0])
    scaling = Scaling.fit(filled)
    scaled = scaling(filled)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(0), [1, 0, 0], atol=1e-12)


def test_columns_are_clipped_to_the_range_of_the_rows_to_fit() -> None:
    train = np.array([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]])
    scaling = Scaling.fit(train)
    np.testing.assert_array_equal(scaling(np.array([[1e9, 9.0], [-1e9, -9.0]])), scaling(train[[2, 0]]))
    np.testing.assert_array_equal(scaling(np.array([[1.0, 7.0]])), scaling(train[[1]]))  # a constant column stays so


def test_rare_values_are_clipped_to_five_standard_deviations() -> None:
    train = np.zeros((1000, 1))
    train[0] = 1.0
    assert Scaling.fit(train)(train).max() == 5.0


def test_descriptors_outside_the_range_of_the_training_rows_do_not_move_a_prediction_further() -> None:
    model = fitted(Hybrid(**SMALL, bank="gong28"))
    crystals = random_crystals(7, 2)
    values = model._values(rows(crystals))
    ranges = model._scaling.highest - model._scaling.lowest
    edge, beyond = (np.tile(model._scaling.highest + factor * ranges, (2, 1)) for factor in (0, 1000))
    assert beyond.shape == values.shape

    def predictions(descriptors: np.ndarray) -> np.ndarray:
        model._values = lambda samples: descriptors
        return model.predict(rows(crystals)).values

    assert np.array_equal(predictions(beyond), predictions(edge))
    assert not np.array_equal(predictions(edge), predictions(values))


def test_values_beyond_single_precision_are_missing_or_clipped() -> None:
    values = within_range(np.array([[np.inf, -np.inf, 1e300, -1e300, 2.0]]))
    np.testing.assert_array_equal(values, [[np.nan, np.nan, LARGEST, -LARGEST, 2.0]])


def test_arrays_can_be_extended_but_no_name_is_used_twice() -> None:
    arrays: Arrays = CrystalGraph()(random_crystals(0, 3)).with_rows(more=np.arange(3))
    assert arrays[[2, 0]].values["more"].tolist() == [2, 0]
    with pytest.raises(ValueError, match="an array 'more' exists already"):
        arrays.with_rows(more=np.arange(3))
    with pytest.raises(ValueError, match="has 2 rows"):
        arrays.with_rows(other=np.arange(2))
