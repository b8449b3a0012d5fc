"""An adaptor for networks of PyTorch Geometric: any module that takes a batch of PyG becomes a model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn

from crystalbench._words import with_article
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.models.network import NetworkModel
from crystalbench.nn.batches import DeviceArrays
from crystalbench.plugins import require_extra
from crystalbench.representations import PeriodicGraph

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch
    from crystalbench.representations import Representation
    from crystalbench.targets import Target


@dataclass
class PyGModel(NetworkModel):
    """A network of PyTorch Geometric, trained and used like all networks.

    A subclass defines `module`, which makes a `torch.nn.Module` that takes a batch of PyG
    (`crystalbench.nn.batches.Batch.to_pyg`), and declares its hyperparameters as fields, ``sees`` and
    ``embedding_invariances``. The module returns one of these:

    * embeddings of the atoms (atoms, d): their mean over each crystal is the embedding of the crystal;
    * embeddings of the crystals (crystals, d), which the shared head reads;
    * one number per crystal (crystals,) or (crystals, 1), or per atom, whose mean is taken: the prediction itself, of
      the standardised target. There is no head then, so the class declares ``head_layers: int = 0``, and ``kinds``
      without multiclass targets.

    Which of them it is, and d, is found by calling the module on two small crystals when the network is made; this also
    initialises lazy layers.

    The class needs no PyTorch Geometric; its networks do. So the file of a subclass may import it within `module`.

    Attributes:
        cutoff: largest distance of neighbours in Å.
    """

    extra: ClassVar[str | None] = "pyg"

    cutoff: Annotated[float, Gt(0)] = 5.0

    @abstractmethod
    def module(self) -> nn.Module:
        """Make the untrained module, from a batch of PyG to embeddings or predictions."""

    @property
    def representation(self) -> Representation:
        """All neighbours within the cutoff, with vectors."""
        return PeriodicGraph(cutoff=self.cutoff)

    def encoder(self) -> nn.Module:
        """The module, followed by a mean over the atoms if it returns embeddings of atoms.

        Raises:
            ConfigError: torch_geometric is not installed, or the module returns something else.
        """
        require_extra("pyg", type(self).__name__)
        batch = DeviceArrays(self.representation(_two_crystals()), "cpu").batch(np.arange(2))
        return PyGEncoder(self.module(), batch)

    def network(self, target: Target) -> nn.Module:
        """Make the untrained network for a target; without a head if the module predicts one number per crystal.

        Raises:
            ConfigError: the module predicts one number per crystal, but the hyperparameters of a head act, or the
                target has more than two classes; or as in `NetworkModel.network` and `encoder`.
        """
        network = super().network(target)
        if network.get_submodule("body").width == 1:  # not so if a hybrid adds descriptors
            name = f"the module of {type(self).__name__} returns one number per crystal"
            if self.head_layers > 0:
                raise ConfigError(
                    f"{name}, so there is no head, but head_layers = {self.head_layers}; declare head_layers: int = 0"
                )
            if target.outputs > 1:
                raise ConfigError(f"{name}, which cannot predict {target.outputs} classes; return embeddings")
            network.head = nn.Identity()
        return network


class PyGEncoder(nn.Module):
    """A module of PyG as an encoder.

    Args:
        module: from a batch of PyG to embeddings of atoms or crystals, or to one number per crystal.
        example: a batch with different numbers of crystals and atoms, on which the module is called once.

    Raises:
        ConfigError: the module returns something else.
    """

    def __init__(self, module: nn.Module, example: Batch) -> None:
        super().__init__()
        self.module = module
        was_training = module.training
        with torch.no_grad():
            found: object = module.eval()(example.to_pyg())
        module.train(was_training)
        atoms = len(example.owners["atom"])
        if not (isinstance(found, Tensor) and found.ndim in (1, 2) and len(found) in (example.size, atoms)):
            returned = (
                f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else with_article(type(found).__name__)
            )
            raise ConfigError(
                f"{type(module).__name__} returns {returned} for {example.size} crystals with {atoms} atoms; it must "
                f"return a tensor of shape ({example.size}, d), ({atoms}, d) or ({example.size},)"
            )
        self.of_atoms = len(found) == atoms
        self.width = 1 if found.ndim == 1 else int(found.shape[1])

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        rows: Tensor = self.module(batch.to_pyg())
        rows = rows.reshape(len(rows), self.width)
        return batch.mean(rows, "atom") if self.of_atoms else rows


def _two_crystals() -> Crystals:
    """Rock salt and fluorite, with primitive cells of two and three atoms."""
    primitive = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    return Crystals(
        lattices=np.stack([5.64 * primitive, 5.46 * primitive]),
        frac_coords=np.array([[0.0], [0.5], [0.0], [0.25], [0.75]]) * np.ones(3),
        numbers=np.array([11, 17, 20, 9, 9], dtype=np.uint8),
        offsets=np.array([0, 2, 5]),
        ids=np.array(["halite", "fluorite"]),
    )
