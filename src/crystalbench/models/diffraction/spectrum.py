"""DiffractionSpectrum: a convolutional network on the rotation-invariant power spectrum of a diffraction pattern."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval, MultipleOf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.models.diffraction.base import DiffractionNetwork, ScaledIntensities
from crystalbench.models.model import Invariance
from crystalbench.representations.diffraction import DiffractionPowerSpectrum

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

_SPECTRUM_FLOOR = 1e-3


@dataclass
class DiffractionSpectrum(DiffractionNetwork):
    """A convolutional network along ``|g|`` on the power spectrum of the diffraction pattern.

    The pattern within a sphere is expanded in radial shells and spherical harmonics, and the power of each shell and
    degree is kept: numbers that no rotation changes, and that do not depend on the choice of the cell. The convolutions
    have half the width of the embedding. With ``intensities="random_scale"`` the factor multiplies the intensities
    themselves, before the logarithm.

    Attributes:
        layers: number of convolutions.
        input_dropout: share of the spectrum dropped while training.
        q_max: radius of the sphere in Å⁻¹.
        shells: number of radial shells.
        l_max: largest degree of the spherical harmonics, even.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    input_dropout: Annotated[float, Interval(ge=0, lt=1), FloatDistribution(0.0, 0.3)] = 0.1
    q_max: Annotated[float, Gt(0)] = 1.0
    shells: Annotated[int, Ge(1), CategoricalDistribution((16, 24, 32))] = 24
    l_max: Annotated[int, Ge(0), MultipleOf(2), CategoricalDistribution((0, 4, 8, 12))] = 12

    @property
    def representation(self) -> DiffractionPowerSpectrum:
        """The power spectrum."""
        return DiffractionPowerSpectrum(
            q_max=self.q_max,
            shells=self.shells,
            l_max=self.l_max,
            intensities="linear" if self.intensities in ("full", "random_scale") else self.intensities,
            scattering=self.scattering,
            symprec=self.symprec,
        )

    def encoder(self) -> nn.Module:
        """Convolutions along ``|g|``."""
        return SpectrumEncoder(self.shells, self.l_max, self.width, self.layers, self.input_dropout, self.intensities)


class SpectrumEncoder(nn.Module):
    """A convolutional network along ``|g|`` on the logarithms of a power spectrum.

    Args:
        shells: radial shells.
        l_max: largest degree.
        width: features of the embedding; the convolutions have half as many.
        layers: number of convolutions.
        dropout: share of the inputs dropped while training.
        intensities: one of `crystalbench.models.diffraction.base.INTENSITIES`.
    """

    def __init__(self, shells: int, l_max: int, width: int, layers: int, dropout: float, intensities: str) -> None:
        super().__init__()
        self.width = width
        self.intensities = ScaledIntensities(intensities)
        degrees = l_max // 2 + 1
        self.normalise = nn.BatchNorm1d(shells * degrees + 1, affine=False)
        self.dropout = nn.Dropout(dropout)
        inner = max(1, width // 2)
        sizes = [degrees, *[inner] * layers]
        self.convolutions = nn.Sequential(
            *(
                module
                for a, b in itertools.pairwise(sizes)
                for module in (nn.Conv1d(a, b, 5, padding=2, bias=False), nn.BatchNorm1d(b), nn.SiLU())
            )
        )
        self.mix = nn.Sequential(nn.Linear(inner * shells + 1, width, bias=False), nn.BatchNorm1d(width), nn.SiLU())

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        spectrum, origin = batch["spectrum"], batch["origin"]
        if self.intensities.kind == "random_scale":
            factors = self.intensities.factors(batch.size, spectrum) if self.training else None
            factors = spectrum.new_full((batch.size,), 0.5) if factors is None else factors
            spectrum, origin = spectrum * factors[:, None, None], origin * factors[:, None].sqrt()
        if self.intensities.kind in ("absences", "none"):
            origin = torch.ones_like(origin)
        logarithms = torch.log(spectrum + _SPECTRUM_FLOOR)
        inputs = torch.cat([logarithms.flatten(1), torch.log(origin + _SPECTRUM_FLOOR)], dim=1)
        inputs = self.dropout(self.normalise(inputs))
        shells = inputs[:, :-1].view(spectrum.shape).transpose(1, 2)
        features = self.convolutions(shells).flatten(1)
        embedding: Tensor = self.mix(torch.cat([features, inputs[:, -1:]], dim=1))
        return embedding
