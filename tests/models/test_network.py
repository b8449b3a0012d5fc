from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers import (
    SMALL_CGCNN,
    TARGETS,
    atom_order,
    batch_of,
    fitted_cgcnn,
    moved_by_lattice_vectors,
    one_crystal,
    predicted,
    random_crystals,
    reordered,
    rotated,
    samples_of,
    supercells,
    translated,
)

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.diffraction.spectrum import DiffractionSpectrum
from crystalbench.models.dummy import Dummy
from crystalbench.models.hybrid import Hybrid
from crystalbench.models.hyperparameters import hyperparameter_types
from crystalbench.models.model import Runtime
from crystalbench.models.network import NetworkModel
from crystalbench.targets import Kind
from crystalbench.testing.crystals import other_cells

# ---------------------------------------------------------------------- seeds


def test_results_are_bitwise_reproducible_and_depend_on_the_seed(
    train: Samples, valid: Samples, unseen: Crystals, model: CGCNN
) -> None:
    torch.manual_seed(123)  # whatever happened to torch before
    again = fitted_cgcnn(train, valid, dropout=0.0)
    assert np.array_equal(predicted(model, unseen), predicted(again, unseen))
    assert not np.array_equal(predicted(model, unseen), predicted(fitted_cgcnn(train, valid, seed=1), unseen))


def test_dropout_follows_the_seed(train: Samples, valid: Samples, unseen: Crystals) -> None:
    one, other = (predicted(fitted_cgcnn(train, valid, dropout=0.3), unseen) for _ in range(2))
    assert np.array_equal(one, other)


def test_fitting_does_not_change_the_random_state_of_the_caller(train: Samples, valid: Samples) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fitted_cgcnn(train, valid, epochs=1)
    assert torch.equal(torch.rand(3), expected)


# ---------------------------------------------------------------------- learning


def test_it_learns() -> None:
    train = samples_of(random_crystals(10, 120, most_atoms=3))
    valid, test = (samples_of(random_crystals(seed, 40, most_atoms=3)) for seed in (11, 12))
    model = fitted_cgcnn(train, valid, width=32, epochs=60, learning_rate=1e-2, averaging=0.9)
    dummy = Dummy().fit(train, valid)
    errors = [np.abs(m.predict(test).values - test.targets).mean() for m in (model, dummy)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("loss", ["l1", "huber"])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_every_loss_and_schedule_lowers_the_training_loss(
    train: Samples, valid: Samples, loss: str, schedule: str
) -> None:
    model, losses = CGCNN(**{**SMALL_CGCNN, "epochs": 8, "loss": loss, "schedule": schedule, "learning_rate": 1e-2}), []
    model.runtime = Runtime(progress=lambda done, total, **numbers: losses.append(numbers["loss"]))
    model.fit(train, valid)
    assert len(losses) == 8
    assert losses[-1] < 0.9 * losses[0]


def test_targets_may_have_any_scale_and_offset(train: Samples, valid: Samples, unseen: Crystals, model: CGCNN) -> None:
    moved = [Samples(s.inputs, s.target, 1e6 + 1e4 * s.targets) for s in (train, valid)]
    values = predicted(fitted_cgcnn(*moved), unseen)
    np.testing.assert_allclose((values - 1e6) / 1e4, predicted(model, unseen), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.MULTICLASS])
def test_classifiers_give_probabilities_and_learn(kind: Kind) -> None:
    train, valid = (samples_of(random_crystals(s, 60, most_atoms=3, largest_z=118), kind) for s in (3, 4))
    model = fitted_cgcnn(train, valid, epochs=25, learning_rate=1e-2, averaging=0.9)
    values = model.predict(valid).checked(valid.target, valid.ids).values
    chosen = values.argmax(1) if kind is Kind.MULTICLASS else values > 0.5
    most_frequent = np.bincount(valid.targets.astype(int)).max() / len(valid)
    assert (chosen == valid.targets).mean() > most_frequent + 0.15


# ---------------------------------------------------------------------- small data and edge cases


def test_constant_targets_are_learned(train: Samples, valid: Samples, unseen: Crystals) -> None:
    constant = [Samples(s.inputs, s.target, np.full(len(s), -7.5)) for s in (train, valid)]
    values = predicted(fitted_cgcnn(*constant, epochs=40, learning_rate=1e-2, averaging=0), unseen)
    assert np.isfinite(values).all()
    assert np.abs(values + 7.5).mean() < 1.0


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("atoms", [1, 4])
def test_a_single_row_is_fitted_or_refused_with_a_clear_message(
    valid: Samples, unseen: Crystals, kind: Kind, atoms: int
) -> None:
    coords = np.random.default_rng(0).random((atoms, 3))
    row = Samples(one_crystal(np.eye(3) * 5, coords, [14] * atoms), TARGETS[kind], np.array([1.0]))
    labelled = Samples(valid.inputs, TARGETS[kind], np.arange(len(valid)) % 2.0)
    try:
        model = fitted_cgcnn(row, labelled)
    except CrystalBenchError as error:
        assert "row" in str(error) or "batch" in str(error)
    else:
        values = model.predict(Samples(unseen, TARGETS[kind])).checked(TARGETS[kind], unseen.ids).values
        assert len(values) == len(unseen)


def test_a_batch_of_one_atom_is_fitted_or_refused_with_a_clear_message(valid: Samples) -> None:
    crystals = random_crystals(4, 3, most_atoms=1)
    try:
        fitted_cgcnn(samples_of(crystals), valid, batch_size=2, epochs=1)  # two rows, then one
    except CrystalBenchError as error:
        assert "batch" in str(error)


def test_a_single_class_in_training_is_accepted(valid: Samples) -> None:
    crystals = random_crystals(3, 10)
    train = Samples(crystals, TARGETS[Kind.MULTICLASS], np.full(10, 2.0))
    labelled = Samples(valid.inputs, TARGETS[Kind.MULTICLASS], np.zeros(len(valid)))
    values = fitted_cgcnn(train, labelled).predict(labelled).checked(labelled.target, labelled.ids).values
    assert values.shape == (len(valid), 3)


def test_predicting_no_rows_gives_an_empty_result(model: CGCNN, unseen: Crystals) -> None:
    assert predicted(model, unseen[[]]).shape == (0,)


# ---------------------------------------------------------------------- what predictions depend on


def test_order_and_size_of_batches_do_not_matter(model: CGCNN, unseen: Crystals) -> None:
    together = predicted(model, unseen)
    order = np.random.default_rng(0).permutation(len(unseen))
    np.testing.assert_allclose(predicted(model, unseen[order]), together[order], atol=1e-5)
    single = [predicted(model, unseen[[i]])[0] for i in range(len(unseen))]
    np.testing.assert_allclose(single, together, atol=1e-5)
    many = np.tile(np.arange(len(unseen)), 60)  # more than one batch
    np.testing.assert_allclose(predicted(model, unseen[many]), together[many], atol=1e-5)


def test_the_description_of_a_crystal_does_not_matter(model: CGCNN, unseen: Crystals) -> None:
    expected = predicted(model, unseen)
    assert expected.std() > 1e-3  # the network distinguishes crystals
    for other in (
        rotated(unseen),
        translated(unseen),
        moved_by_lattice_vectors(unseen),
        reordered(unseen, atom_order(unseen)),
        supercells(unseen, (2, 1, 1)),
        supercells(unseen, (1, 2, 3)),
        other_cells(unseen),
    ):
        np.testing.assert_allclose(predicted(model, other), expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_the_embedding_depends_on_elements_and_distances(model: CGCNN, unseen: Crystals) -> None:
    expected = predicted(model, unseen)
    carbon = dataclasses.replace(unseen, numbers=np.full_like(unseen.numbers, 6))
    larger = dataclasses.replace(unseen, lattices=unseen.lattices * 1.2)
    for other in (carbon, larger):
        assert (np.abs(predicted(model, other) - expected) > 1e-4).mean() > 0.8


@pytest.mark.parametrize("kind", [CGCNN, Hybrid, DiffractionSpectrum])
def test_with_a_sum_over_atoms_the_prediction_is_the_number_of_atoms_times_that_per_atom(
    kind: type[NetworkModel], train: Samples, valid: Samples, unseen: Crystals
) -> None:
    known = {name: value for name, value in SMALL_CGCNN.items() if name in hyperparameter_types(kind)}
    model = kind(**known, readout="sum").fit(train, valid)
    sums = predicted(model, unseen)
    per_atom = model._network.head(model._network.body(batch_of(model, unseen))).detach().double().numpy()[:, 0]
    mean, scale, atoms = dataclasses.astuple(model._standard)
    np.testing.assert_allclose(sums, unseen.atom_counts * (mean + scale / atoms * per_atom), rtol=1e-5, atol=1e-5)


def test_a_sum_over_atoms_doubles_with_the_cell(train: Samples, valid: Samples, unseen: Crystals) -> None:
    totals = [Samples(s.inputs, s.target, s.targets * s.compositions.totals) for s in (train, valid)]
    model = fitted_cgcnn(*totals, readout="sum")
    expected = predicted(model, unseen)
    for times, factor in (((1, 2, 1), 2), ((3, 1, 2), 6)):
        np.testing.assert_allclose(predicted(model, supercells(unseen, times)), factor * expected, rtol=1e-5, atol=1e-5)


def test_a_sum_over_atoms_fits_extensive_targets(train: Samples, valid: Samples) -> None:
    """Targets proportional to the number of atoms are exact from the start, whatever the size of the cell."""
    heat = [Samples(s.inputs, s.target, 24.9 * s.compositions.totals) for s in (train, valid)]
    model = fitted_cgcnn(*heat, readout="sum", epochs=1, learning_rate=1e-12)
    standard = model._standard
    atoms = np.concatenate([part.compositions.totals for part in heat]).mean()
    assert (standard.mean, standard.atoms) == (pytest.approx(24.9), pytest.approx(atoms))
    np.testing.assert_allclose(standard.standardised(heat[0]), 0, atol=1e-9)
    np.testing.assert_allclose(standard.restored(np.zeros(len(valid)), valid), 24.9 * valid.compositions.totals)


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.MULTICLASS])
def test_a_sum_over_atoms_is_for_regression(kind: Kind, valid: Samples) -> None:
    labelled = Samples(valid.inputs, TARGETS[kind], np.arange(len(valid)) % 2.0)
    assert not CGCNN(readout="sum").supports(kind)
    with pytest.raises(ConfigError, match=f"readout = 'sum' is for regression, but .* is a {kind} target"):
        fitted_cgcnn(labelled, labelled, readout="sum")


# ---------------------------------------------------------------------- embeddings


def test_the_embedding_is_what_the_head_reads(model: CGCNN, unseen: Crystals) -> None:
    samples = Samples(unseen, TARGETS[Kind.REGRESSION])
    embeddings = model.embed(samples)
    assert embeddings.shape == (len(unseen), SMALL_CGCNN["width"]) and embeddings.dtype == np.float64
    head = model._network.head(torch.from_numpy(embeddings).float()).detach().double().numpy()[:, 0]
    np.testing.assert_allclose(model._standard.restored(head, samples), predicted(model, unseen), rtol=1e-5, atol=1e-5)


def test_an_untrained_network_has_the_initial_weights_of_the_fit(train: Samples, valid: Samples) -> None:
    model = fitted_cgcnn(train, valid)
    rows = Samples.concatenated([train, valid])
    still = fitted_cgcnn(train, valid, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    untrained, trained = model.untrained(rows), dict(model._network.named_parameters())
    for name, weights in untrained._network.named_parameters():
        torch.testing.assert_close(weights, dict(still._network.named_parameters())[name], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(weights, trained[name]) for name, weights in untrained._network.named_parameters())
    assert untrained is not model and untrained.trained_epochs == 0 and untrained.runtime is model.runtime
    changed = fitted_cgcnn(train, valid, seed=1).untrained(rows)
    assert not np.array_equal(changed.embed(train.to_predict()), untrained.embed(train.to_predict()))
