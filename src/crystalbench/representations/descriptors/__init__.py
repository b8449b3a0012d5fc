"""Banks of descriptors of whole crystals; one file for each kind of knowledge."""

from __future__ import annotations

from crystalbench.representations.descriptors.bank import BANKS, WITH_COMPOSITION, DescriptorBank

__all__ = ["BANKS", "WITH_COMPOSITION", "DescriptorBank"]
