"""Banks of crystal descriptors, with one module per kind: symmetry, neighbourhoods, radial order, cell."""

from __future__ import annotations

from crystalbench.representations.descriptors.bank import BANKS, WITH_COMPOSITION, DescriptorBank

__all__ = ["BANKS", "WITH_COMPOSITION", "DescriptorBank"]
