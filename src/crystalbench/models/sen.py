"""SEN: an equivariant capsule network on crystal graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Gt, Interval
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.devices import flushed_subnormals, prepare_torch
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import Dropout, HeadDropout, NetworkModel
from crystalbench.models.sen_encoder import Pooling, SENEncoder
from crystalbench.models.training import WeightDecay
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import OrbitGraph

if TYPE_CHECKING:
    from crystalbench.data.samples import Predictions, Samples

BATCH = 512  # crystals in a batch of `SEN.explain`


@dataclass
class SEN(NetworkModel):
    """Equivariant capsule network in the spirit of SEN (Liang et al., Nat. Commun. 14, 2023).

    Atoms exchange messages that are gated by the composition. From the directions of their neighbours they collect
    spherical tensors (scalars, vectors and tensors of degree 2), which rotate with the crystal. Atoms are then routed
    to capsules by agreement: each atom votes for each capsule, and capsules compete for atoms. A capsule has a
    presence, a feature and a pose, and the embedding is computed from their invariants. `explain` returns the capsules.

    Directions lower the error on inner folds; a gain from capsules over the mean over the atoms is not established (see
    the page of the model).

    The published network is called equivariant but sees distances only; `sen_published` reimplements it.

    Attributes:
        width: invariant features of an atom and of a capsule.
        channels: channels of the spherical tensors.
        layers: layers of message passing.
        capsules: number of capsules; without effect if ``pooling`` is ``mean``.
        pooling: of atoms: ``mean`` without capsules; capsules to which all atoms are coupled equally (``uniform``), by
            a learned function of each atom (``learned``), or by routing by agreement (``agreement``).
        lmax: largest degree of the spherical tensors; with 0, the network sees distances but no directions.
        neighbors: neighbours of each atom.
        cutoff: largest distance of the Gaussian expansion in Å.
        atom_dropout: share of the hidden units dropped while training in the updates of atoms and the readout of
            capsules.
    """

    version: ClassVar[int] = 3  # equal atoms are merged, and dropped out together
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    channels: Annotated[int, Ge(1), CategoricalDistribution((8, 16, 32))] = 16
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    capsules: Annotated[int, Ge(1), CategoricalDistribution((4, 8, 16))] = 8
    pooling: Pooling = "agreement"
    lmax: Annotated[int, Interval(ge=0, le=2)] = 2
    neighbors: Annotated[int, Ge(1), IntDistribution(12, 24)] = 16
    cutoff: Annotated[float, Gt(0)] = 8.0
    atom_dropout: Dropout = 0.1
    dropout: HeadDropout = 0.1
    weight_decay: WeightDecay = 0.1
    epochs: int = 150

    @property
    def sees(self) -> Sees:
        """Directions; without spherical tensors, distances only."""
        return Sees.EQUIVARIANT if self.lmax else Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> OrbitGraph:
        """Nearest neighbours with directions, of one atom of each orbit."""
        return OrbitGraph(neighbors=self.neighbors)

    def encoder(self) -> nn.Module:
        """Message passing, capsules and readout."""
        return SENEncoder(
            self.width,
            self.channels,
            self.layers,
            self.capsules,
            self.pooling,
            lmax=self.lmax,
            neighbors=self.neighbors,
            cutoff=self.cutoff,
            dropout=self.atom_dropout,
        )

    @flushed_subnormals()
    def explain(self, samples: Samples, *, trained: bool = True) -> CapsuleReading:
        """The capsules of n crystals in the fitted network.

        Args:
            samples: n crystals.
            trained: False for the same network with its initial weights: a control for what is read from capsules.

        Raises:
            ConfigError: the model is not fitted, or has no capsules.
        """
        encoder, device = self._encoder_with_capsules(), prepare_torch(self.runtime)
        if not trained:
            with self._seeded(device):
                encoder = _encoder_of(self.network(self.target).to(device))
        data = DeviceArrays(self.inputs(samples), device)
        with torch.no_grad():
            found = [(encoder.capsules(batch), batch["sites"]) for batch in data.batches(BATCH)]
        parts: dict[str, list[Tensor]] = {"couplings": [c.couplings[sites] for c, sites in found]}
        parts |= {name: [getattr(c, name) for c, _ in found] for name in ("shares", "presences", "features", "poses")}
        arrays: dict[str, npt.NDArray[Any]] = {name: torch.cat(rows).cpu().numpy() for name, rows in parts.items()}
        return CapsuleReading(ids=samples.ids, offsets=np.asarray(samples.crystals.offsets), **arrays)

    def predict_without(self, samples: Samples, capsule: int) -> Predictions:
        """Predictions of the fitted network if one of its capsules is deleted: the readout is the mean over the others.

        Args:
            samples: n crystals.
            capsule: number of the capsule, from 0.

        Raises:
            ConfigError: the model is not fitted, or has fewer than two capsules, or none of this number.
        """
        readout = self._encoder_with_capsules().readout
        assert readout is not None  # there are capsules
        count = readout.routing.count
        if not 0 <= capsule < count or count < 2:
            raise ConfigError(f"capsule {capsule} of {count} cannot be deleted; of two or more, number 0 is the first")
        readout.kept = [k for k in range(count) if k != capsule]
        try:
            return self.predict(samples)
        finally:
            readout.kept = None

    def _encoder_with_capsules(self) -> SENEncoder:
        """The encoder of the fitted network.

        Raises:
            ConfigError: the model is not fitted, or has no capsules.
        """
        if self.pooling == "mean":
            raise ConfigError("SEN with pooling = 'mean' has no capsules; choose another pooling and fit the model")
        if self.fitted_network is None:
            raise ConfigError("the model has to be fitted before its capsules can be read")
        return _encoder_of(self.fitted_network)


def _encoder_of(network: nn.Module) -> SENEncoder:
    return next(module for module in network.eval().modules() if isinstance(module, SENEncoder))


@dataclass(frozen=True, eq=False)
class CapsuleReading:
    """The K capsules of n crystals.

    Attributes:
        ids: (n,) the crystals.
        offsets: (n + 1,) crystal i has the rows ``offsets[i]:offsets[i + 1]`` of the couplings.
        couplings: (atoms, K) coupling of each atom to each capsule; rows sum to 1.
        shares: (n, K) mean coupling of the atoms of a crystal to each capsule; rows sum to 1.
        presences: (n, K) in [0, 1), the degree to which each capsule is present.
        features: (n, K, F) invariant features.
        poses: (n, K, 9, C) spherical tensors of degree 0, 1 and 2 (e3nn's order), which rotate with the crystal; fewer
            components with a smaller ``lmax``.
    """

    ids: npt.NDArray[np.str_]
    offsets: npt.NDArray[np.int64]
    couplings: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]
    presences: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    poses: npt.NDArray[np.float32]

    def atoms_of(self, i: int) -> npt.NDArray[np.float32]:
        """Couplings (atoms of crystal i, K)."""
        return self.couplings[self.offsets[i] : self.offsets[i + 1]]
