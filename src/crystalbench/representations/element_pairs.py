"""Element pairs: the elements of a composition and all pairs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of, segment_rows
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.representation import Representation

if TYPE_CHECKING:
    from crystalbench.data.compositions import Compositions

ELEMENT, PAIR = "element", "pair"


@dataclass(frozen=True)
class ElementPairs(Representation):
    """The graph of Roost (Goodall and Lee, Nat. Commun. 11, 6280, 2020): all pairs of elements, also of equal ones.

    Arrays: ``elements`` (elements,) uint8 atomic numbers, ascending in each composition, and ``fractions`` (elements,)
    float32 atomic fractions; ``own`` and ``other`` (pairs,) int32 indices of the elements of each pair, ascending by
    own, then other.
    """

    def __call__(self, inputs: Inputs) -> Arrays:
        """The elements and pairs of n compositions, or of the compositions of n crystals."""
        compositions: Compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        offsets, owners = compositions.offsets, compositions.owners
        partners = np.diff(offsets)[owners]
        first = offsets[:-1][owners]
        own = np.repeat(np.arange(len(owners)) - first, partners)
        other = segment_rows(offsets, owners) - np.repeat(first, partners)
        element = Layout(ELEMENT)
        return Arrays(
            values={
                "elements": np.asarray(compositions.numbers),
                "fractions": compositions.fractions.astype(np.float32),
                "own": own.astype(np.int32),
                "other": other.astype(np.int32),
            },
            layouts={
                "elements": element,
                "fractions": element,
                "own": Layout(PAIR, ELEMENT),
                "other": Layout(PAIR, ELEMENT),
            },
            offsets={ELEMENT: np.asarray(offsets), PAIR: offsets_of(np.diff(offsets) ** 2)},
            length=len(compositions),
        )
