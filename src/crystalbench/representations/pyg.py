"""The names that PyTorch Geometric and its networks give to the arrays of a `PeriodicGraph`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crystalbench.errors import DataError
from crystalbench.representations.arrays import CRYSTAL
from crystalbench.representations.sphere_graph import EDGE

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = {
    "z": "atom",
    "pos": "atom",
    "cell": CRYSTAL,
    "edge_index": EDGE,
    "edge_weight": EDGE,
    "edge_attr": EDGE,
    "edge_vec": EDGE,
    "cell_shift": EDGE,
}
"""What one row of an attribute belongs to; ``edge_index`` has its rows along the second axis."""


def pyg_attributes(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Attributes of PyG from the arrays of a `PeriodicGraph`, as tensors on any device.

    A message goes from ``edge_index[0]`` to ``edge_index[1]``, as in all layers of PyG, and
    ``edge_vec = pos[edge_index[0]] + cell_shift @ cell - pos[edge_index[1]]``.

    Args:
        values: tensors by name.

    Returns:
        * ``z`` (N,) int64, atomic numbers;
        * ``pos`` (N, 3), Cartesian coordinates in Å, inside the cell;
        * ``cell`` (n, 3, 3), rows are the lattice vectors in Å;
        * ``edge_index`` (2, E) int64, atom indices;
        * ``edge_weight`` (E,) and ``edge_attr`` (E, 1), distances in Å;
        * ``edge_vec`` (E, 3) in Å, from the atom that receives the message to the one that sends it;
        * ``cell_shift`` (E, 3), the cell of the atom that sends, as whole numbers of lattice vectors.

    Raises:
        DataError: these are not the arrays of a `PeriodicGraph`.
    """
    import torch  # here, since representations are computed without it

    needed = ("numbers", "positions", "lattices", "sources", "neighbors", "vectors", "images")
    if missing := [name for name in needed if name not in values]:
        raise DataError(
            f"a graph of PyTorch Geometric is made of the arrays of a PeriodicGraph; these have no {missing[0]}"
        )
    vectors = values["vectors"]
    distances = torch.linalg.vector_norm(vectors, dim=1)
    return {
        "z": values["numbers"].to(torch.int64),
        "pos": values["positions"],
        "cell": values["lattices"],
        "edge_index": torch.stack([values["neighbors"], values["sources"]]).to(torch.int64),
        "edge_weight": distances,
        "edge_attr": distances.unsqueeze(1),
        "edge_vec": vectors,
        "cell_shift": values["images"].to(vectors.dtype),
    }
