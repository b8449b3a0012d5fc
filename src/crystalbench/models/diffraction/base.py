"""What the networks on diffraction patterns have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn

from crystalbench.models.hyperparameters import OneOf
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import NetworkModel
from crystalbench.representations.diffraction.cells import CELLS
from crystalbench.representations.diffraction.power_spectrum import FLOOR, PRESENT, SPAN
from crystalbench.representations.diffraction.scattering import SCATTERINGS, check_effect

INTENSITIES = ("full", "normalised", "random_scale", "absences", "none", "permuted_in_shells", "permuted")

PERMUTATIONS = {"permuted_in_shells": "in_shells", "permuted": "all"}
"""Values of ``intensities`` that permute them, and the permutations of the pattern."""


@dataclass
class DiffractionNetwork(NetworkModel):
    """A network that sees the reciprocal lattice of a crystal and the intensities of its reflections.

    It sees elements only by how strongly they scatter, and atoms only by how their waves add up.

    Attributes:
        width: features of the embedding.
        intensities: what the network sees of them: ``full``, |F|² / V²; ``normalised``, |E|² = |F|² / Σ_j f_j²;
            ``random_scale``, up to one random factor per crystal; ``absences``, whether there is any; ``none``,
            positions only; ``permuted_in_shells`` and ``permuted``, those of other reflections of the crystal, of
            nearly the same ``|g|`` or of any.
        scattering: ``xray``, ``neutron`` or ``equal``, where all atoms scatter alike. Without intensities it has no
            effect and cannot be chosen.
        symprec: tolerance of the symmetry search in Å.
    """

    width: Annotated[int, Ge(1), CategoricalDistribution((64, 128, 256, 512))] = 128
    intensities: Annotated[str, OneOf(INTENSITIES)] = "full"
    scattering: Annotated[str, OneOf(SCATTERINGS)] = "xray"
    symprec: Annotated[float, Gt(0)] = 0.1

    def __post_init__(self) -> None:
        """Check every hyperparameter.

        Raises:
            ConfigError: a value that is not valid, or a kind of scattering without effect.
        """
        super().__post_init__()
        check_effect(self.scattering, self.intensities)

    @property
    def sees(self) -> Sees:
        """The structure without chemistry if all atoms scatter alike, or without intensities."""
        hides_elements = self.scattering == "equal" or self.intensities == "none"
        return Sees.STRUCTURE if hides_elements else Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Those of the network; none with permuted intensities, as a permutation refers to the indices of one cell."""
        return frozenset() if self.intensities in PERMUTATIONS else super().invariances


@dataclass
class PatternNetwork(DiffractionNetwork):
    """A network that reads reflections of the standard cell, one by one.

    Attributes:
        cell: ``primitive`` or ``conventional`` standard cell.
    """

    # Mirror images have the same intensities (Friedel's law). The pattern depends on the choice of the standard cell.
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.REFLECTION})

    cell: Annotated[str, OneOf(CELLS)] = "primitive"

    @property
    def _pattern(self) -> dict[str, Any]:
        """Options of the pattern that all these networks have."""
        return {
            "scattering": self.scattering,
            "normalised": self.intensities == "normalised",
            "cell": self.cell,
            "symprec": self.symprec,
            "permutation": PERMUTATIONS.get(self.intensities, "none"),
        }


class ScaledIntensities(nn.Module):
    """Intensities on deepKNet's logarithmic scale, about 0 to 1, or the part of them that an ablation shows.

    Args:
        kind: one of `INTENSITIES`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, intensities: Tensor) -> Tensor:
        """Scaled intensities, of the same shape."""
        if self.kind == "none":
            return torch.zeros_like(intensities)
        scaled = (torch.log(intensities + FLOOR) - math.log(FLOOR)) / SPAN
        return (scaled > PRESENT).to(scaled.dtype) if self.kind == "absences" else scaled

    def factors(self, n: int, like: Tensor) -> Tensor | None:
        """One random factor per crystal (n,), uniform in [0, 1); None unless intensities are scaled at random."""
        return torch.rand(n, device=like.device) if self.kind == "random_scale" else None
