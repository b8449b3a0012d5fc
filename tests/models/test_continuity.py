"""Networks on graphs, where the end of a neighbourhood falls within a shell of equal distances.

There, a graph of exactly k neighbours would keep atoms by their order, or by noise of the positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import (
    atom_order,
    cell_from_parameters,
    changed,
    known_structures,
    one_crystal,
    predicted,
    reordered,
    supercells,
)

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.e3nn_network import E3NN
from crystalbench.models.network import NetworkModel
from crystalbench.models.painn import PaiNN
from crystalbench.models.schnet import SchNet
from crystalbench.models.sen import SEN
from crystalbench.models.sen_published.model import SENPublished
from crystalbench.testing.crystals import other_cells

TRAINING: dict[str, Any] = {
    "width": 12,
    "layers": 2,
    "head_width": 16,
    "batch_size": 16,
    "epochs": 20,
    "learning_rate": 1e-2,
    "averaging": 0.9,
}
MODELS = {
    CGCNN: TRAINING,
    SEN: TRAINING | {"channels": 4, "capsules": 4},
    SENPublished: TRAINING | {"learning_rate": 3e-3},
    SchNet: TRAINING | {"cutoff": 2.87 * 2**0.5},  # the distance of the third neighbours in body-centred iron
    PaiNN: TRAINING | {"cutoff": 2.87 * 2**0.5},
    E3NN: TRAINING | {"cutoff": 2.87 * 2**0.5},
}


@pytest.fixture(scope="module", params=MODELS, ids=lambda kind: kind.__name__)
def fitted(request: pytest.FixtureRequest, train: Samples, valid: Samples) -> NetworkModel:
    return request.param(**MODELS[request.param]).fit(train, valid)


@pytest.fixture(scope="module")
def alloys() -> Crystals:
    """Face-centred and body-centred cubic, rock salt, ideal hexagonal close packing, and distorted structures.

    Some atoms are replaced by oxygen, so that atoms at equal distances differ.
    """
    iron = one_crystal(np.eye(3) * 2.87, [[0, 0, 0], [0.5, 0.5, 0.5]], [26, 26], "bcc")
    hexagonal = cell_from_parameters(2.9, 2.9, 2.9 * (8 / 3) ** 0.5, 90, 90, 120)
    titanium = one_crystal(hexagonal, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [22, 22], "hcp")
    structures = known_structures()
    others = structures[np.isin(structures.ids, ["copper", "halite", "rutile", "quartz", "zirconia"])]
    crystals = supercells(concatenate([iron, titanium, others]), (2, 2, 2))
    numbers = crystals.numbers.copy()
    numbers[::5] = 8
    return changed(crystals, numbers=numbers)


def test_the_order_of_atoms_and_the_choice_of_the_cell_do_not_matter(fitted: NetworkModel, alloys: Crystals) -> None:
    expected = predicted(fitted, alloys)
    others = [reordered(alloys, atom_order(alloys, seed)) for seed in range(3)]
    for other in (*others, supercells(alloys, (2, 1, 1)), other_cells(alloys)):
        np.testing.assert_allclose(predicted(fitted, other), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("noise", [1e-3, 1e-4])
def test_noise_moves_a_prediction_by_a_small_multiple(
    fitted: NetworkModel, alloys: Crystals, train: Samples, noise: float
) -> None:
    """Noise in Å moves a prediction by less than one standard deviation of the targets per Å."""
    expected, spread = predicted(fitted, alloys), float(np.std(train.targets))
    assert expected.std() > 0.1 * spread  # the network distinguishes them
    inverse = np.linalg.inv(alloys.lattices)[alloys.owners]
    for seed in range(3):
        moves = np.random.default_rng(seed).uniform(-noise, noise, (len(alloys.numbers), 3))
        moved = changed(alloys, frac_coords=alloys.frac_coords + np.einsum("ai,aij->aj", moves, inverse))
        assert np.abs(predicted(fitted, moved) - expected).max() < spread * noise
