"""A mixin for networks that compute equal atoms once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crystalbench.representations import QuotientGraph

if TYPE_CHECKING:
    from crystalbench.representations import CrystalGraph, SphereGraph, WeightedGraph


class MergesEqualAtoms:
    """A mixin for networks that compute equal atoms once, and weight what they compute by how often it occurs.

    Those that read only elements and distances use `merged`; those that see angles or directions, graphs of one atom of
    each orbit.

    Attributes:
        merges_equal_atoms: whether equal atoms are merged. It is not a hyperparameter, since the function is the same
            either way. A subclass that treats equal atoms differently sets it to False; then each atom is a site.
    """

    merges_equal_atoms: ClassVar[bool] = True

    def merged(self, graph: CrystalGraph | SphereGraph | WeightedGraph) -> QuotientGraph:
        """The quotient of a graph of all atoms, which the network reads instead."""
        return QuotientGraph(graph, merged=self.merges_equal_atoms)
