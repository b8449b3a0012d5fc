from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from e3nn import o3
from helpers import (
    TARGETS,
    atom_order,
    changed,
    known_structures,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    reordered,
    rotated,
    samples_of,
    supercells,
    translated,
)
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.groups import SpaceGroup
from torch import nn

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models.model import Runtime
from crystalbench.models.sen import SEN
from crystalbench.models.sen_encoder import Pooling, SENEncoder
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import Arrays, OrbitGraph
from crystalbench.representations.orbit_graph import harmonics
from crystalbench.targets import Kind

SMALL: dict[str, Any] = {"width": 12, "channels": 4, "capsules": 3, "head_width": 16, "batch_size": 16, "epochs": 6}


def rows(crystals: Crystals) -> Samples:
    return Samples(crystals, TARGETS[Kind.REGRESSION])


def inverted(crystals: Crystals) -> Crystals:
    """Every crystal rotated and inverted."""
    turned = rotated(crystals, 3)
    return changed(turned, lattices=-turned.lattices)


def rock_salt(times: tuple[int, int, int] = (1, 1, 1)) -> Crystals:
    """A crystal with large shells, one of which the 16 nearest neighbours cut."""
    cell = 2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return supercells(one_crystal(cell, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17], "salt"), times)


@pytest.fixture(scope="module")
def model() -> SEN:
    fitted = SEN(**SMALL)
    fitted.runtime = Runtime(seed=1)
    return fitted.fit(samples_of(random_crystals(1, 42, most_atoms=4)), samples_of(random_crystals(2, 14)))


@pytest.fixture(scope="module")
def unseen() -> Crystals:
    return random_crystals(3, 14)


def test_predictions_do_not_depend_on_the_description_of_a_crystal(model: SEN, unseen: Crystals) -> None:
    expected = model.predict(rows(unseen)).values
    assert np.ptp(expected) > 0.1
    for other in (
        rotated(unseen),
        inverted(unseen),
        translated(unseen),
        moved_by_lattice_vectors(unseen),
        reordered(unseen, atom_order(unseen)),
        supercells(unseen, (2, 1, 1)),
        supercells(unseen, (1, 2, 3)),
    ):
        found = model.predict(rows(other)).values
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))


def test_a_shell_that_is_cut_does_not_matter(model: SEN) -> None:
    expected = model.predict(rows(rock_salt())).values
    for other in (rock_salt((2, 2, 1)), rotated(rock_salt((1, 3, 1))), translated(rock_salt((2, 1, 1)))):
        mixed = reordered(other, atom_order(other))
        np.testing.assert_allclose(model.predict(rows(mixed)).values, expected, rtol=1e-4)


def test_predictions_are_continuous_when_an_atom_moves(model: SEN) -> None:
    """No part of the displacement of an atom changes the prediction by much more than its share."""
    salt = rock_salt((2, 1, 1))
    steps = np.linspace(0, 0.2, 201)
    moved = [changed(salt, frac_coords=salt.frac_coords + np.outer([1, 0, 0, 0], [s, 0.5 * s, 0])) for s in steps]
    values = np.concatenate([model.predict(rows(crystal)).values for crystal in moved])
    assert np.ptp(values) > 1e-3
    assert np.abs(np.diff(values)).max() < 0.1 * np.ptp(values)


def embedded(encoder: nn.Module, directions: list[list[float]]) -> torch.Tensor:
    """The embedding of an atom with two neighbours in these directions, at one distance."""
    vectors = np.array(directions, dtype=float)
    distances = np.linalg.norm(vectors, axis=1)
    arrays = OrbitGraph()(one_crystal(3 * np.eye(3), [[0, 0, 0]], [6]))
    values = arrays.values | {
        "sources": np.zeros(1, np.int32),
        "neighbors": np.zeros(1, np.int32),
        "shells": np.zeros(1, np.int32),
        "distances": distances[:1].astype(np.float32),
        "harmonics": harmonics(vectors / distances[:, None]).sum(0, keepdims=True).astype(np.float32),
        "vector_means": np.eye(3, dtype=np.float32)[None],
        "tensor_means": np.eye(5, dtype=np.float32)[None],
    }
    offsets = arrays.offsets | {"edge": np.array([0, 1]), "shell": np.array([0, 1])}
    batch = DeviceArrays(Arrays(values, arrays.layouts, offsets, 1), "cpu").batch(np.array([0]))
    embedding: torch.Tensor = encoder(batch)
    return embedding


@pytest.mark.parametrize("pooling", ["mean", "uniform", "learned", "agreement"])
@pytest.mark.parametrize("lmax", [0, 1, 2])
def test_embeddings_depend_on_angles_if_there_are_vectors(pooling: Pooling, lmax: int) -> None:
    """Two neighbours at the same distances, opposite or at a right angle, which distances alone do not distinguish."""
    torch.manual_seed(0)
    encoder = SENEncoder(8, 4, 1, 2, pooling, lmax=lmax).eval()
    straight, bent, turned = (
        embedded(encoder, directions)
        for directions in ([[2, 0, 0], [-2, 0, 0]], [[2, 0, 0], [0, 2, 0]], [[0, 0, 2], [0, 0, -2]])
    )
    torch.testing.assert_close(straight, turned, atol=1e-5, rtol=1e-5)
    difference = (straight - bent).abs().max().item()
    assert difference > 1e-4 if lmax else difference == 0


@pytest.mark.parametrize("parameters", [{}, {"lmax": 1}, {"lmax": 0}, {"pooling": "mean"}, {"pooling": "learned"}])
def test_orbits_give_the_embeddings_and_gradients_of_all_atoms(parameters: dict[str, Any]) -> None:
    """Crystals of every crystal system, repeated and turned, so that orbits and axes differ from those of the cell."""
    crystals = concatenate(
        [known_structures(), rotated(supercells(known_structures(), (2, 1, 1))), random_crystals(5, 3)]
    )
    torch.manual_seed(0)
    encoder = SENEncoder(12, 4, 2, 3, parameters.get("pooling", "agreement"), lmax=parameters.get("lmax", 2)).double()
    found = []
    for merged in (True, False):
        data = DeviceArrays(OrbitGraph(merged=merged)(crystals), "cpu")
        batch = data.batch(np.arange(len(crystals)))
        for name, tensor in batch.values.items():
            batch.values[name] = tensor.double() if tensor.is_floating_point() else tensor
        encoder.zero_grad()
        embeddings = encoder(batch)
        embeddings.square().sum().backward()
        gradients = [p.grad.flatten() for p in encoder.parameters() if p.grad is not None]
        found.append((len(batch["numbers"]), embeddings.detach(), torch.cat(gradients)))
    (sites, merged_embeddings, merged_gradients), (atoms, embeddings, gradients) = found
    assert sites < 0.5 * atoms
    assert embeddings.std(0).min() > 1e-3
    torch.testing.assert_close(merged_embeddings, embeddings, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(merged_gradients, gradients, atol=1e-4, rtol=1e-4)


FIRST_OF_POINT_GROUPS = (1, 2, 3, 6, 10, 16, 25, 47, 75, 81, 83, 89, 99, 111, 123, 143, 147, 149, 156, 162, 168, 174)
FIRST_OF_POINT_GROUPS += (175, 177, 183, 187, 191, 195, 200, 207, 215, 221)
"""The first space group of each of the 32 point groups."""


def random_crystal(number: int, rng: np.random.Generator) -> Structure:
    """Atoms at two general positions of a space group, and at one that the site symmetry of the origin keeps."""
    group = SpaceGroup.from_int_number(number)
    turns = [operation.rotation_matrix for operation in group.symmetry_ops]
    cell = np.diag(rng.uniform(6, 9, 3)) + rng.uniform(-1, 1, (3, 3))
    lattice = np.linalg.cholesky(np.mean([turn.T @ cell @ cell.T @ turn for turn in turns], axis=0))
    points = rng.random((3, 3))
    around = [operation for operation in group.symmetry_ops if np.allclose(operation.operate(np.zeros(3)), 0)]
    points[0] = np.mean([operation.operate(points[0]) for operation in around], axis=0)
    return Structure.from_spacegroup(group.symbol, Lattice(lattice), ["Si", "O", "N"], points)


def test_orbits_are_exact_in_every_point_group() -> None:
    """With large weights, embeddings depend strongly on mean vectors and tensors, and on the agreement of votes."""
    numbers = [*FIRST_OF_POINT_GROUPS, 146, 155, 160, 196]  # also some with centred cells
    rng = np.random.default_rng(1)
    crystals = rotated(Crystals.from_pymatgen([random_crystal(number, rng) for number in numbers]))
    torch.manual_seed(0)
    encoder = SENEncoder(12, 4, 2, 4, "agreement").double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter *= 2.5 if parameter.ndim > 1 else 1
    found = {}
    for merged in (True, False):
        graph = OrbitGraph(merged=merged)(crystals)
        batch = DeviceArrays(graph, "cpu").batch(np.arange(len(crystals)))
        for name, tensor in batch.values.items():
            batch.values[name] = tensor.double() if tensor.is_floating_point() else tensor
        with torch.no_grad():
            found[merged] = encoder(batch), encoder.capsules(batch).couplings[batch["sites"]]
        if merged:
            assert (np.diff(graph.offsets["site"]) == 3).all()
            assert (np.abs(graph.values["vector_means"]).max((1, 2)) > 0.1).sum() == 10 + 2  # polar groups
    (embeddings, couplings), (expected, expected_couplings) = found[True], found[False]
    assert expected_couplings.std(0).min() > 0.1
    deviation = expected.std(0).median()
    torch.testing.assert_close(embeddings / deviation, expected / deviation, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(couplings, expected_couplings, atol=1e-4, rtol=0)


def test_a_large_cell_has_the_same_embedding_under_autocast() -> None:
    rng = np.random.default_rng(0)
    crystal = one_crystal(np.eye(3) * 32, rng.random((3000, 3)), rng.integers(1, 90, 3000))
    batch = DeviceArrays(OrbitGraph()(crystal), "cpu").batch(np.arange(1))
    torch.manual_seed(0)
    encoder = SENEncoder(12, 4, 2, 3, "agreement").eval()
    with torch.no_grad():
        expected = encoder(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = encoder(batch)
    torch.testing.assert_close(found, expected, atol=0.05 * expected.std().item(), rtol=0.05)


# ---------------------------------------------------------------------- capsules


def test_capsules_are_available_after_fitting(model: SEN, unseen: Crystals) -> None:
    found = model.explain(rows(unseen))
    n, atoms, k = len(unseen), len(unseen.numbers), SMALL["capsules"]
    assert found.couplings.shape == (atoms, k)
    assert found.poses.shape == (n, k, 9, SMALL["channels"])
    np.testing.assert_allclose(found.couplings.sum(1), 1, atol=1e-5)
    shares = [found.atoms_of(i).mean(0) for i in range(n)]
    np.testing.assert_allclose(found.shares, shares, atol=1e-5)
    assert ((found.presences >= 0) & (found.presences < 1)).all()
    assert list(found.ids) == list(unseen.ids)


def test_capsules_are_invariant_and_poses_rotate_with_the_crystal(model: SEN, unseen: Crystals) -> None:
    torch.manual_seed(0)
    turn = o3.rand_matrix()
    for operation in (turn, -turn):
        other = changed(unseen, lattices=unseen.lattices @ operation.numpy().astype(float).T)
        before, after = model.explain(rows(unseen)), model.explain(rows(other))
        np.testing.assert_allclose(after.couplings, before.couplings, atol=1e-4)
        np.testing.assert_allclose(after.presences, before.presences, atol=1e-4)
        np.testing.assert_allclose(after.features, before.features, atol=1e-3)
        turned = o3.Irreps("0e + 1o + 2e").D_from_matrix(operation).numpy() @ before.poses
        np.testing.assert_allclose(after.poses, turned, atol=1e-3)
        for degree in (slice(1, 4), slice(4, 9)):
            assert np.abs((after.poses - before.poses)[:, :, degree]).max() > 0.01


def test_equivalent_atoms_have_the_same_couplings(model: SEN) -> None:
    salt = rock_salt((2, 2, 2))
    couplings = model.explain(rows(salt)).couplings
    for element in (11, 17):
        same = couplings[salt.numbers == element]
        np.testing.assert_allclose(same, same[:1].repeat(len(same), 0), atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "uniform", "learned", "agreement"])
@pytest.mark.parametrize("lmax", [0, 1, 2])
def test_every_pooling_and_degree_is_chosen_by_hyperparameters(pooling: str, lmax: int, unseen: Crystals) -> None:
    model = SEN.from_configuration({**SMALL, "epochs": 1, "pooling": pooling, "lmax": lmax})
    model.fit(samples_of(random_crystals(1, 16, most_atoms=4)), samples_of(random_crystals(2, 8, most_atoms=4)))
    expected = model.predict(rows(unseen)).values
    turned = model.predict(rows(rotated(supercells(unseen, (1, 2, 1))))).values
    np.testing.assert_allclose(turned, expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))
    if pooling == "mean":
        with pytest.raises(ConfigError, match="pooling = 'mean' has no capsules"):
            model.explain(rows(unseen))
    else:
        couplings = model.explain(rows(unseen)).couplings
        equal = np.abs(couplings - 1 / SMALL["capsules"]).max() < 1e-6
        assert equal == (pooling == "uniform")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"capsules": 0}, "capsules = 0; it must be at least 1"),
        ({"pooling": "agreemnt"}, "it must be one of mean, uniform, learned, agreement. Did you mean 'agreement'"),
        ({"lmax": 3}, "lmax = 3; it must be in"),
        ({"atom_dropout": 1.0}, "atom_dropout = 1.0; it must be in"),
    ],
)
def test_invalid_hyperparameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SEN.from_configuration(parameters)


def test_a_deleted_capsule_is_missing_from_the_mean_over_capsules(model: SEN, unseen: Crystals) -> None:
    complete = model.predict(rows(unseen)).values
    without = [model.predict_without(rows(unseen), k).values for k in range(SMALL["capsules"])]
    for values in without:
        assert np.abs(values - complete).max() > 1e-3 * np.ptp(complete)
    assert np.abs(without[0] - without[1]).max() > 1e-3 * np.ptp(complete)
    np.testing.assert_array_equal(model.predict(rows(unseen)).values, complete)
    network = model.fitted_network
    assert network is not None
    encoder = next(module for module in network.modules() if isinstance(module, SENEncoder))
    batch = next(DeviceArrays(model.inputs(rows(unseen)), "cpu").batches(64))
    with torch.no_grad():
        scalars, tensors = encoder.sites(batch)
        readout = encoder.readout
        assert readout is not None
        means = []
        for kept in (None, *([k] for k in range(SMALL["capsules"]))):
            readout.kept = kept
            means.append(readout(scalars, tensors, batch))
        readout.kept = None
    torch.testing.assert_close(torch.stack(means[1:]).mean(0), means[0])


def test_only_one_of_several_capsules_can_be_deleted(model: SEN, unseen: Crystals) -> None:
    for capsule in (-1, SMALL["capsules"]):
        with pytest.raises(ConfigError, match=f"capsule {capsule} of {SMALL['capsules']} cannot be deleted"):
            model.predict_without(rows(unseen), capsule)


def test_capsules_of_a_model_that_is_not_fitted_cannot_be_read(unseen: Crystals) -> None:
    with pytest.raises(ConfigError, match="has to be fitted"):
        SEN(**SMALL).explain(rows(unseen))


def test_no_crystals_have_no_predictions_and_no_capsules(model: SEN, unseen: Crystals) -> None:
    nothing = rows(unseen[[]])
    assert len(model.predict(nothing).values) == 0
    found, complete = model.explain(nothing), model.explain(rows(unseen))
    for name in ("couplings", "shares", "presences", "features", "poses"):
        assert getattr(found, name).shape == (0, *getattr(complete, name).shape[1:])


def test_isolated_atoms_and_large_cells_are_predicted(model: SEN) -> None:
    isolated = one_crystal(np.eye(3) * 100, [[0.2, 0.1, 0.4]], 99)
    rng = np.random.default_rng(0)
    large = one_crystal(np.eye(3) * 14, rng.random((200, 3)), rng.integers(1, 104, 200))
    for crystal in (isolated, large):
        assert np.isfinite(model.predict(rows(crystal)).values).all()
    data = DeviceArrays(model.inputs(rows(isolated)), "cpu")
    assert data.batch(np.array([0]))["distances"].min() > 99
