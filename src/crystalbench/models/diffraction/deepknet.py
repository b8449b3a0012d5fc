"""deepKNet: a network on diffraction patterns as sets of reflections."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Interval
from optuna.distributions import IntDistribution
from torch import Tensor, nn

from crystalbench.models.diffraction.base import PatternNetwork, ScaledIntensities
from crystalbench.representations.diffraction import DiffractionPattern
from crystalbench.representations.diffraction.pattern import LARGEST_INDEX, REFLECTION, miller_indices

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

LENGTH = 5.0
"""deepKNet's unit of reciprocal lengths in Å⁻¹."""

_POINTS_AT_ONCE = 1 << 14  # in evaluation mode, to bound memory


@dataclass
class DeepKNet(PatternNetwork):
    """deepKNet (Phys. Rev. Research, 2022): the maximum over reflections of a perceptron that reads one reflection.

    Each reflection of a cube of Miller indices is a row of three coordinates and an intensity. All rows go through the
    same perceptron with batch normalisation (convolutions of size one), and the embedding is the maximum over them.
    Patterns are rotated at random while training; for prediction, the embeddings of a few fixed orientations are
    averaged. The layers before the last have a quarter of its width.

    Deviations: training and head are the shared ones; orientations are uniform over O(3); embeddings are averaged over
    several orientations, where the original predicts from a single random one.

    Attributes:
        layers: layers of the perceptron.
        orientations: orientations averaged for prediction; 0 to rotate patterns neither for prediction nor while
            training.
        max_index: largest Miller index of the cube; 0 for the basis vectors only, −1 for these and 000.
    """

    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    orientations: Annotated[int, Ge(0)] = 8
    max_index: Annotated[int, Interval(ge=-1, le=LARGEST_INDEX)] = 3

    @property
    def representation(self) -> DiffractionPattern:
        """Reflections in a cube of Miller indices."""
        return DiffractionPattern(max_index=self.max_index, **self._pattern)

    def encoder(self) -> nn.Module:
        """Perceptron and maximum."""
        return ReflectionsEncoder(self.max_index, self.width, self.layers, self.intensities, self.orientations)


@dataclass
class DeepKNetSphere(PatternNetwork):
    """deepKNet on the reflections in a sphere, which do not depend on the choice of the basis vectors.

    Attributes:
        layers: layers of the perceptron.
        orientations: orientations averaged for prediction; 0 to rotate patterns neither for prediction nor while
            training.
        q_max: radius of the sphere in Å⁻¹.
    """

    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    orientations: Annotated[int, Ge(0)] = 8
    q_max: Annotated[float, Gt(0)] = 1.0

    @property
    def representation(self) -> DiffractionPattern:
        """Reflections in a sphere."""
        return DiffractionPattern(points="sphere", q_max=self.q_max, **self._pattern)

    def encoder(self) -> nn.Module:
        """Perceptron and maximum."""
        return ReflectionsEncoder(None, self.width, self.layers, self.intensities, self.orientations)


def random_orthogonal(n: int, like: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Orthogonal matrices (n, 3, 3), uniform (Haar) over rotations and improper rotations.

    Q of the QR decomposition of a Gaussian matrix is uniform if the diagonal of R is made positive (Mezzadri, Notices
    of the AMS 54, 592, 2007); deepKNet does not correct the signs.

    Args:
        n: number of matrices.
        like: a tensor on the device of the result; the CPU by default.
        generator: source of randomness; torch's own by default.
    """
    gaussian = torch.randn(n, 3, 3, generator=generator, device=None if like is None else like.device)
    q, r = torch.linalg.qr(gaussian)
    signs = torch.where(torch.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    uniform: Tensor = q * signs.unsqueeze(-2)
    return uniform


class ReflectionsEncoder(nn.Module):
    """The maximum over reflections of a perceptron that reads one reflection.

    Args:
        max_index: largest Miller index of the cube; None for a sphere.
        width: features of the last layer, and of the embedding.
        layers: number of layers.
        intensities: one of `crystalbench.models.diffraction.base.INTENSITIES`.
        orientations: orientations to average over in evaluation mode; 0 to keep the orientation of the pattern.
    """

    miller: Tensor
    fixed: Tensor

    def __init__(self, max_index: int | None, width: int, layers: int, intensities: str, orientations: int) -> None:
        super().__init__()
        self.width, self.orientations = width, orientations
        self.intensities = ScaledIntensities(intensities)
        miller = torch.zeros(0, 3) if max_index is None else torch.from_numpy(miller_indices(max_index)).float()
        self.register_buffer("miller", miller, persistent=False)
        rotations = random_orthogonal(max(1, orientations), generator=torch.Generator().manual_seed(0))
        self.register_buffer("fixed", rotations if orientations else torch.eye(3)[None], persistent=False)
        sizes = [4, *[max(1, width // 4)] * (layers - 1), width]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b)) for a, b in itertools.pairwise(sizes)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        intensities = self.intensities(batch["intensities"])
        g = self._points(batch) / LENGTH
        counts = batch.counts.get(REFLECTION)
        if self.training:
            rotations = random_orthogonal(batch.size, g) if self.orientations else self.fixed.expand(batch.size, 3, 3)
            factors = self.intensities.factors(batch.size, intensities)
            return self._embed(g, intensities, rotations, factors, batch, counts)
        total = g.new_zeros((batch.size, self.width))
        for k, rotation in enumerate(self.fixed):
            factors = g.new_full((batch.size,), (k + 0.5) / len(self.fixed))
            scaled = factors if self.intensities.kind == "random_scale" else None
            total += self._embed(g, intensities, rotation.expand(batch.size, 3, 3), scaled, batch, counts)
        return total / len(self.fixed)

    def _points(self, batch: Batch) -> Tensor:
        """Reciprocal-lattice points g = (h, k, l) B in Å⁻¹: (n, points, 3) in a cube, (rows, 3) in a sphere."""
        if REFLECTION not in batch.counts:
            return self.miller @ batch["reciprocal"]
        cells = batch["reciprocal"][batch.owners[REFLECTION]]
        return torch.einsum("pi,pij->pj", batch["miller"].to(cells.dtype), cells)

    def _embed(
        self,
        g: Tensor,
        intensities: Tensor,
        rotations: Tensor,
        factors: Tensor | None,
        batch: Batch,
        counts: Tensor | None,
    ) -> Tensor:
        """Embeddings (n, width) of patterns rotated by matrices (n, 3, 3) and scaled by factors (n,)."""
        if counts is None:
            if factors is not None:
                intensities = intensities * factors[:, None]
            rows = torch.cat([g @ rotations, intensities.unsqueeze(-1)], dim=-1)
            if self.training:
                return self._maxima(rows)
            parts = torch.split(rows, max(1, _POINTS_AT_ONCE // rows.shape[1]))
            return torch.cat([self._maxima(part) for part in parts])
        owners = batch.owners[REFLECTION]
        if factors is not None:
            intensities = intensities * factors[owners]
        rotated = torch.einsum("pi,pij->pj", g, rotations[owners])
        rows = torch.cat([rotated, intensities.unsqueeze(-1)], dim=-1)
        if self.training:
            return self._ragged_maxima(rows, counts)
        return self._ragged_maxima_in_parts(rows, owners, batch.size)

    def _ragged_maxima(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Embeddings (n, width) of reflections (rows, 4), with counts (n,) per crystal."""
        return torch.relu(torch.segment_reduce(self._perceptron(rows), "max", lengths=counts))

    def _ragged_maxima_in_parts(self, rows: Tensor, owners: Tensor, n: int) -> Tensor:
        """The same for large batches, without gradients: the features of all rows are never in memory at once."""
        maxima = rows.new_full((n, self.width), -torch.inf)
        for part, owner in zip(torch.split(rows, _POINTS_AT_ONCE), torch.split(owners, _POINTS_AT_ONCE), strict=True):
            features = self._perceptron(part)
            maxima.scatter_reduce_(0, owner.unsqueeze(1).expand_as(features), features, "amax")
        return torch.relu(maxima)

    def _maxima(self, rows: Tensor) -> Tensor:
        """Embeddings (n, width) of reflections (n, points, 4)."""
        features = self._perceptron(rows.reshape(-1, rows.shape[-1])).view(*rows.shape[:2], -1)
        return torch.relu(features.amax(1))  # the relu of the maximum is the maximum of the relu

    def _perceptron(self, rows: Tensor) -> Tensor:
        """Features (rows, width) of reflections (rows, 4), before the last relu."""
        for k, layer in enumerate(self.layers):
            rows = layer(torch.relu(rows) if k else rows)
        return rows
