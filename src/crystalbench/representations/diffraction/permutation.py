"""Permuted intensities: those of a crystal, at other reflections of the same crystal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.rows import generator

PERMUTATIONS = ("none", "in_shells", "all")

SHELL_WIDTH = 0.05
"""Width in Å⁻¹ of the shells of ``|g|`` within which intensities are permuted.

Equal lengths alone would permute nothing in a crystal of low symmetry, where every ``|g|`` belongs to one pair of
reflections. In a cell of 60 Å³, shells of this width contain about 5 pairs at 0.5 Å⁻¹ and 19 at 1 Å⁻¹.
"""

_OFFSET = 0.318  # of the edges: simple lattices have reflections at multiples of the width


def permuted_pairs(
    intensities: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    crystals: Crystals,
    permutation: str,
) -> npt.NDArray[np.float64]:
    """Permute the intensities of each crystal over its reflections.

    The unit that is permuted is a Friedel pair g and −g, so that its members keep equal intensities. 000 is no
    reflection and takes no part. The permutation is drawn from lattice and composition: it is the same for the same
    crystal in every data set, and another one for every other crystal.

    Args:
        intensities: (pairs,) one of each Friedel pair, crystal by crystal.
        lengths: (pairs,) ``|g|`` in Å⁻¹.
        counts: (n,) number of pairs of each crystal.
        crystals: the n crystals in the cells that the Miller indices refer to.
        permutation: ``in_shells`` for permutations within shells of ``|g|`` (see `SHELL_WIDTH`), ``all`` for
            permutations over all pairs.

    Returns:
        (pairs,).
    """
    found = np.empty_like(intensities)
    stop = 0
    for row, count in enumerate(counts.tolist()):
        start, stop = stop, stop + count
        atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
        drawn = generator(crystals.lattices[row], np.sort(crystals.numbers[atoms])).permutation(count)
        if permutation == "in_shells":
            shells = np.floor(lengths[start:stop] / SHELL_WIDTH + _OFFSET)
            order = np.argsort(shells, kind="stable")
            drawn = drawn[np.argsort(shells[drawn], kind="stable")]
        else:
            order = np.arange(count)
        found[start + order] = intensities[start + drawn]
    return found
