"""PaiNN compared with a plain form of the equations, atom by atom and pair by pair."""

from __future__ import annotations

import math

import numpy as np
import torch
from helpers import isolated_atom, known_structures, random_crystals, rotated
from torch import Tensor

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.models.painn import WAVES, PaiNNEncoder
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.representations import PeriodicGraph

CUTOFF = 4.0


def crystals() -> Crystals:
    return concatenate([random_crystals(0, 3), isolated_atom(), known_structures()[:2]])


def batch_of(inputs: Crystals) -> Batch:
    return DeviceArrays(PeriodicGraph(cutoff=CUTOFF)(inputs), "cpu").batch(np.arange(len(inputs)))


def encoder() -> PaiNNEncoder:
    torch.manual_seed(0)
    return PaiNNEncoder(8, 2, CUTOFF).eval()


def plain(network: PaiNNEncoder, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scalars and vectors of the atoms by equations 7 to 10 of Schütt, Unke and Gastegger (2021)."""
    width = network.elements.embedding_dim
    s = [network.elements.weight[int(z)] for z in batch["numbers"]]
    v = [torch.zeros(3, width) for _ in s]
    for message, update in zip(network.messages, network.updates, strict=True):
        new_s, new_v = [x.clone() for x in s], [x.clone() for x in v]
        for i, j, r in zip(batch["sources"].tolist(), batch["neighbors"].tolist(), batch["vectors"], strict=True):
            d = float(r.norm())
            waves = torch.tensor([math.sin(n * math.pi * d / CUTOFF) / d for n in range(1, WAVES + 1)])
            ending = 0.5 * (math.cos(math.pi * d / CUTOFF) + 1)
            ss, vv, vs = torch.split(message.send(s[j]) * message.filter(waves) * ending, width)
            new_s[i] = new_s[i] + ss
            new_v[i] = new_v[i] + v[j] * vv + vs * (r / d)[:, None]
        s, v = new_s, new_v
        for i in range(len(s)):
            u, w = torch.split(v[i] @ update.mix.weight.T, width, dim=1)
            a_ss, a_sv, a_vv = torch.split(update.gates(torch.cat([s[i], w.norm(dim=0)])), width)
            s[i], v[i] = s[i] + a_ss + a_sv * (u * w).sum(0), v[i] + a_vv * u
    return torch.stack(s), torch.stack(v)


def test_scalars_and_vectors_are_those_of_the_equations() -> None:
    network, batch = encoder(), batch_of(crystals())
    with torch.no_grad():
        scalars, vectors = network.atoms(batch)
        expected_scalars, expected_vectors = plain(network, batch)
    assert vectors.abs().max() > 0.01
    torch.testing.assert_close(scalars, expected_scalars, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(vectors, expected_vectors, atol=2e-4, rtol=1e-4)


def test_vectors_rotate_with_the_crystal() -> None:
    network, inputs = encoder(), random_crystals(1, 4)
    turned = rotated(inputs)
    rotations = torch.from_numpy(np.linalg.solve(inputs.lattices, turned.lattices)).float()[inputs.owners]
    with torch.no_grad():
        scalars, vectors = network.atoms(batch_of(inputs))
        same, other = network.atoms(batch_of(turned))
    torch.testing.assert_close(same, scalars, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other, torch.einsum("nxf,nxy->nyf", vectors, rotations), atol=1e-4, rtol=1e-4)


def test_gradients_are_finite_where_vectors_are_zero() -> None:
    network = encoder()
    network(batch_of(concatenate([isolated_atom(), known_structures()[:1]]))).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
