"""What networks have in common that compute equal atoms once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crystalbench.representations import QuotientGraph

if TYPE_CHECKING:
    from crystalbench.representations import CrystalGraph, SphereGraph


class MergesEqualAtoms:
    """A network that sees elements and distances alone, and counts sites and edges of a `QuotientGraph` as it should.

    Attributes:
        merges_equal_atoms: not a hyperparameter, since the function is the same. A subclass that treats equal atoms
            unequally sets it to False; then each atom is a site.
    """

    merges_equal_atoms: ClassVar[bool] = True

    def merged(self, graph: CrystalGraph | SphereGraph) -> QuotientGraph:
        """What the network reads in place of a graph of all atoms."""
        return QuotientGraph(graph, merged=self.merges_equal_atoms)
