"""CHGNet, with the weights that its package contains."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from crystalbench.errors import DataError
from crystalbench.representations.potentials.potential import GPA, Evaluation, Potential
from crystalbench.representations.potentials.threads import single_threaded

if TYPE_CHECKING:
    from crystalbench.data.crystals import Crystals


class CHGNet(Potential):
    """CHGNet 0.3.0: a graph network with three-body angles, fitted to relaxations of the Materials Project.

    B. Deng et al., Nat. Mach. Intell. 5, 1031, 2023 (412,525 parameters, cutoff 6 Å, elements up to plutonium).
    Features are the 64 of each atom before the last convolution.

    Energies are differentiated with respect to coordinates and lattice vectors here: the package's own prediction
    also keeps the graph of the second derivatives, which takes twice the time.
    """

    packages: ClassVar[tuple[str, ...]] = ("chgnet",)
    pretrained_on: ClassVar[frozenset[str]] = frozenset({"MPtrj"})
    extra: ClassVar[str | None] = "potentials"
    elements: ClassVar[frozenset[int]] = frozenset(range(1, 95))
    features: ClassVar[int] = 64

    WEIGHTS = "0.3.0"

    @single_threaded
    def _evaluate(self, crystals: Crystals) -> Evaluation:
        graphs = [self._graph(crystals, row) for row in range(len(crystals))]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")  # of volumes, unused here
            predicted = self._network(graphs, task="e", return_atom_feas=True)
        energies = predicted["e"] * torch.as_tensor(crystals.atom_counts)
        leaves = [graph.atom_frac_coord for graph in graphs] + [graph.lattice for graph in graphs]
        # An atom without neighbours does not depend on where it is.
        found = torch.autograd.grad(energies.sum(), leaves, allow_unused=True, materialize_grads=True)
        slopes = [gradient.double().numpy() for gradient in found]
        inverses = np.linalg.inv(crystals.lattices)
        n = len(crystals)
        forces = [-by_place @ inverse.T for by_place, inverse in zip(slopes[:n], inverses, strict=True)]
        virials = np.einsum("nki,nkj->nij", crystals.lattices, np.array(slopes[n:]))
        stresses = GPA * (virials + virials.transpose(0, 2, 1)) / (2 * crystals.volumes[:, None, None])
        features = torch.cat(list(predicted["atom_fea"])).detach().double().numpy()
        return Evaluation(energies.detach().double().numpy(), np.concatenate(forces), stresses, features)

    def _graph(self, crystals: Crystals, row: int) -> Any:
        try:
            return self._network.graph_converter(crystals.structure(row))
        except Exception as error:  # the converter raises errors of several classes
            raise DataError(f"{crystals.ids[row]}: CHGNet cannot make a graph of it: {error}") from error

    @functools.cached_property
    def _network(self) -> Any:
        from chgnet.model.model import CHGNet as Network

        with contextlib.redirect_stdout(io.StringIO()):  # it prints its number of parameters
            network = Network.load(model_name=self.WEIGHTS, use_device="cpu", verbose=False)
        network.graph_converter.set_isolated_atom_response("ignore")
        return network.eval().requires_grad_(False)
