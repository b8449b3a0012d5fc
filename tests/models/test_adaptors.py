"""Networks of PyTorch Geometric as models."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from helpers import random_crystals, samples_of, supercells
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models import Invariance, PyGModel, Sees, WithDescriptors, get_model, search_space
from crystalbench.models.model import Runtime
from crystalbench.targets import Kind
from crystalbench.testing import check_model


class Attention(nn.Module):
    """GATv2 over distances, as PyG's examples build it."""

    def __init__(self, width: int, layers: int) -> None:
        from torch_geometric.nn import GATv2Conv

        super().__init__()
        self.elements = nn.Embedding(119, width)
        self.convolutions = nn.ModuleList(
            GATv2Conv(width, width, edge_dim=1, add_self_loops=False) for _ in range(layers)
        )

    def forward(self, data: Any) -> Tensor:
        atoms: Tensor = self.elements(data.z)
        for convolution in self.convolutions:
            atoms = atoms + torch.relu(convolution(atoms, data.edge_index, data.edge_attr))
        return atoms


@dataclass
class OfAtoms(PyGModel):
    """Returns embeddings of atoms.

    Attributes:
        width: features of an atom.
        layers: number of layers.
    """

    embedding_invariances = frozenset(Invariance)
    width: Annotated[int, CategoricalDistribution((16, 32))] = 16
    layers: Annotated[int, IntDistribution(1, 3)] = 2

    @property
    def sees(self) -> Sees:
        return Sees.STRUCTURE_AND_CHEMISTRY

    def module(self) -> nn.Module:
        return Attention(self.width, self.layers)


class Pooled(nn.Module):
    """Adds up atoms by crystal, with layers whose sizes PyG finds when they are first called."""

    def __init__(self, *sizes: int, flat: bool = False) -> None:
        from torch_geometric.nn import MLP

        super().__init__()
        self.atoms, self.flat = Attention(8, 1), flat
        self.output = MLP([-1, *sizes], norm=None)

    def forward(self, data: Any) -> Tensor:
        from torch_geometric.nn import global_mean_pool

        found: Tensor = self.output(global_mean_pool(self.atoms(data), data.batch, size=data.num_graphs))
        return found[:, 0] if self.flat else found


@dataclass
class OfCrystals(OfAtoms):
    """Returns embeddings of crystals."""

    def module(self) -> nn.Module:
        return Pooled(12, 5)


@dataclass
class Predicting(OfAtoms):
    """Returns the prediction itself, as (n, 1)."""

    kinds = frozenset({Kind.REGRESSION, Kind.BINARY})
    head_layers: int = 0

    def module(self) -> nn.Module:
        return Pooled(6, 1)


@dataclass
class FlatlyPredicting(Predicting):
    """Returns the prediction itself, as (n,)."""

    def module(self) -> nn.Module:
        return Pooled(6, 1, flat=True)


def fitted(model: PyGModel, kind: Kind = Kind.REGRESSION) -> PyGModel:
    model = dataclasses.replace(model, epochs=2, batch_size=16)
    model.runtime = Runtime(seed=1)
    return model.fit(samples_of(random_crystals(0, 24, most_atoms=4), kind), samples_of(random_crystals(1, 8), kind))


@pytest.mark.parametrize("model", [OfAtoms, OfCrystals, Predicting, FlatlyPredicting])
def test_networks_of_pyg_keep_the_contract(model: type[PyGModel]) -> None:
    report = check_model(model)
    assert report.passed and not report.notes


def test_the_mean_over_atoms_is_the_embedding() -> None:
    model = fitted(OfAtoms())
    network = model.fitted_network
    assert network is not None
    seen: dict[str, Any] = {}
    network.body.module.register_forward_hook(lambda _, inputs, output: seen.update(data=inputs[0], atoms=output))
    network.head.register_forward_pre_hook(lambda _, inputs: seen.update(embedding=inputs[0]))
    model.predict(samples_of(random_crystals(2, 6)).to_predict())
    means = [seen["atoms"][seen["data"].batch == i].mean(0) for i in range(6)]
    torch.testing.assert_close(seen["embedding"], torch.stack(means))


@pytest.mark.parametrize("model", [Predicting(), FlatlyPredicting()])
def test_one_number_per_crystal_is_the_standardised_prediction(model: PyGModel) -> None:
    model = fitted(model)
    network, seen = model.fitted_network, list[Tensor]()
    assert network is not None
    network.body.module.register_forward_hook(lambda _, __, output: seen.append(output))
    rows = samples_of(random_crystals(2, 6))
    values = model.predict(rows.to_predict()).values
    np.testing.assert_allclose(values, model._standard.restored(seen[0].reshape(-1).double().numpy(), rows))
    assert model.n_parameters == sum(p.numel() for p in network.body.module.parameters())


def test_a_sum_over_atoms_multiplies_what_the_module_predicts() -> None:
    model = fitted(dataclasses.replace(Predicting(), readout="sum"))
    crystals = random_crystals(2, 6)
    one = model.predict(samples_of(crystals).to_predict()).values
    eight = model.predict(samples_of(supercells(crystals, (2, 2, 2))).to_predict()).values
    np.testing.assert_allclose(eight, 8 * one, rtol=1e-4, atol=1e-4 * np.abs(eight).max())


def test_predictions_of_a_module_take_no_head_and_no_classes() -> None:
    class WithHead(Predicting):
        head_layers: int = 1

    with pytest.raises(ConfigError, match=r"one number per crystal, so there is no head.*declare head_layers: int = 0"):
        fitted(dataclasses.dataclass(WithHead)())
    with pytest.raises(ConfigError, match="cannot predict 3 classes; return embeddings"):
        fitted(Predicting(), Kind.MULTICLASS)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda data: data.z[:3].float(), r"shape \(3,\) for 2 crystals with 5 atoms; .* \(2, d\), \(5, d\) or \(2,\)"),
        (lambda data: data.pos[:, :, None], r"shape \(5, 3, 1\)"),
        (lambda data: (data.pos, data.z), "returns a tuple"),
    ],
)
def test_other_results_are_refused_with_their_shape(returned: Any, says: str) -> None:
    class Wrong(nn.Module):
        def forward(self, data: Any) -> Any:
            return returned(data)

    class Model(OfAtoms):
        def module(self) -> nn.Module:
            return Wrong()

    with pytest.raises(ConfigError, match=f"Wrong returns {says}" if says.startswith("shape") else says):
        fitted(Model())


def test_dropout_and_normalisation_are_in_training_mode_only_while_training() -> None:
    modes: list[bool] = []

    class Spy(Attention):
        def forward(self, data: Any) -> Tensor:
            modes.append(self.training)
            return super().forward(data)

    class Model(OfAtoms):
        def module(self) -> nn.Module:
            return Spy(8, 1)

    fitted(Model()).predict(samples_of(random_crystals(2, 3)).to_predict())
    assert modes == [False, *[True] * 4, False]  # the example, two epochs of two batches, the prediction


def test_hyperparameters_of_networks_of_pyg_are_tuned_like_others() -> None:
    assert {"width", "layers", "learning_rate", "head_width"} <= set(search_space(OfAtoms))
    assert "cutoff" not in search_space(OfAtoms)
    narrow, wide = (dataclasses.replace(OfAtoms(), cutoff=cutoff).representation.key for cutoff in (3.0, 6.0))
    assert narrow != wide
    with pytest.raises(ConfigError, match="cutoff = 0; it must be greater than 0"):
        OfAtoms(cutoff=0)


def test_descriptors_can_be_added_to_a_network_of_pyg() -> None:
    @dataclass
    class Hybrid(WithDescriptors, Predicting):
        """Its embedding of one number is no prediction when descriptors are added."""

        kinds = frozenset(Kind)

    model = fitted(Hybrid(bank="gong28", head_layers=1))
    assert model.fitted_network is not None
    assert not isinstance(model.fitted_network.head, nn.Identity)
    assert len(model.predict(samples_of(random_crystals(2, 3)).to_predict()).values) == 3


def test_without_pyg_a_network_of_pyg_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("torch_geometric", "torch_geometric.nn"):
        monkeypatch.setitem(sys.modules, module, None)
    assert get_model("schnet")().sees is Sees.STRUCTURE_AND_CHEMISTRY  # a class needs no PyG
    message = r"needs torch_geometric, which is not installed; run: pip install 'crystalbench\[pyg\]'$"
    with pytest.raises(ConfigError, match=f"^SchNet {message}"):
        check_model("schnet")
    with pytest.raises(ConfigError, match=f"^OfAtoms {message}"):
        fitted(OfAtoms())
    file = tmp_path / "mine.py"
    file.write_text("from torch_geometric.nn import GATv2Conv\n")
    with pytest.raises(ConfigError, match=r"cannot be imported: .*; run: pip install 'crystalbench\[pyg\]'"):
        get_model(f"{file}:Mine")
