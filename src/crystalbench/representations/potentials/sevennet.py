"""SevenNet-0, with the weights that its package contains."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from crystalbench.representations.potentials.potential import GPA, Evaluation, Potential
from crystalbench.representations.potentials.threads import single_threaded

if TYPE_CHECKING:
    from crystalbench.data.crystals import Crystals

_UNKNOWN = frozenset({84, 85, 86, 87, 88})
_VOIGT = [[0, 3, 5], [3, 1, 4], [5, 4, 2]]  # of the order xx, yy, zz, xy, yz, zx


class SevenNet(Potential):
    """SevenNet-0 (July 2024): an equivariant network of NequIP's kind, fitted to relaxations of the Materials Project.

    Y. Park et al., J. Chem. Theory Comput. 20, 4857, 2024 (842,440 parameters, cutoff 5 Å, 89 elements). Features are
    the 128 scalars of each atom after the last convolution.
    """

    packages: ClassVar[tuple[str, ...]] = ("sevenn",)
    pretrained_on: ClassVar[frozenset[str]] = frozenset({"MPtrj"})
    extra: ClassVar[str | None] = "potentials"
    elements: ClassVar[frozenset[int]] = frozenset(range(1, 95)) - _UNKNOWN
    features: ClassVar[int] = 128

    WEIGHTS = "7net-0"

    @single_threaded
    def _evaluate(self, crystals: Crystals) -> Evaluation:
        import sevenn._keys as keys
        from ase import Atoms
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph
        from torch_geometric.data import Batch

        network, cutoff = self._network
        wrapped = crystals.wrapped()
        graphs = []
        for row in range(len(crystals)):
            part = slice(crystals.offsets[row], crystals.offsets[row + 1])
            atoms = Atoms(
                wrapped.numbers[part],
                cell=wrapped.lattices[row],
                scaled_positions=wrapped.frac_coords[part],
                pbc=True,
            )
            graphs.append(AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, cutoff)))
        kept: list[Any] = []
        hook = network.reduce_input_to_hidden.register_forward_pre_hook(
            lambda module, arguments: kept.append(arguments[0][keys.NODE_FEATURE].detach())
        )
        try:
            output = network(Batch.from_data_list(graphs))
        finally:
            hook.remove()
        stresses = -GPA * output[keys.PRED_STRESS].detach().double().numpy()
        return Evaluation(
            output[keys.PRED_TOTAL_ENERGY].detach().double().numpy().reshape(-1),
            output[keys.PRED_FORCE].detach().double().numpy(),
            stresses[:, np.array(_VOIGT)],
            kept[0].double().numpy(),
        )

    @functools.cached_property
    def _network(self) -> tuple[Any, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about accelerators for GPUs, and about reading its own weights
            from sevenn.util import load_checkpoint

            network = load_checkpoint(self.WEIGHTS).build_model()
        network.eval_type_map = True
        network.set_is_batch_data(True)
        return network.eval().requires_grad_(False), float(network.cutoff)
