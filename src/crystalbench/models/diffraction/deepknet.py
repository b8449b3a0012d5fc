"""deepKNet, a network on diffraction patterns as sets of reflections, and an exactly invariant variant."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from optuna.distributions import IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.diffraction.base import PERMUTATIONS, DiffractionNetwork, PatternNetwork, ScaledIntensities
from crystalbench.models.model import Invariance
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
    several orientations, where the original predicts from a single random one. The published code has no widths; its
    older scripts have 128 and 512, which are those of ``width=512``.

    Attributes:
        layers: layers of the perceptron.
        orientations: orientations averaged for prediction; 0 to rotate patterns neither for prediction nor while
            training.
        max_index: largest Miller index of the cube; 0 for the basis vectors only, −1 for these and 000.
    """

    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    orientations: Annotated[int, Ge(0)] = 8
    max_index: Annotated[int, Interval(ge=-1, le=LARGEST_INDEX)] = 3

    def __post_init__(self) -> None:
        """Check every hyperparameter.

        Raises:
            ConfigError: a value that is not valid, or intensities that cannot be permuted.
        """
        super().__post_init__()
        if self.intensities in PERMUTATIONS and self.max_index < 1:
            raise ConfigError(
                f"intensities = {self.intensities!r} permutes them over reflections, but max_index = {self.max_index} "
                "leaves the basis vectors only; it must be 1 or larger"
            )

    @property
    def representation(self) -> DiffractionPattern:
        """Reflections in a cube of Miller indices."""
        return DiffractionPattern(max_index=self.max_index, **self._pattern)

    def encoder(self) -> nn.Module:
        """Perceptron and maximum."""
        return ReflectionsEncoder(self.max_index, self.width, self.layers, self.intensities, self.orientations)


@dataclass
class DeepKNetSphere(DiffractionNetwork):
    """A variant of deepKNet that no rotation and no choice of the cell changes, exactly. It is not in the paper.

    It reads all reflections of the primitive lattice in a sphere, whatever their Miller indices. A reflection is not
    described by coordinates but by invariants: its length, its intensity, and how its direction g / ``|g|`` lies among
    the others, as the means of the Legendre polynomials P₂ and P₄ of the cosine, weighted by scaled intensities (by 1
    where those are not seen). Perceptron and maximum are those of deepKNet. With ``intensities="random_scale"`` the
    mean factor is used for prediction.

    Attributes:
        layers: layers of the perceptron.
        q_max: radius of the sphere in Å⁻¹.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    q_max: Annotated[float, Gt(0)] = 1.0

    @property
    def representation(self) -> DiffractionPattern:
        """Reflections in a sphere."""
        return DiffractionPattern(
            points="sphere",
            q_max=self.q_max,
            scattering=self.scattering,
            normalised=self.intensities == "normalised",
            symprec=self.symprec,
            permutation=PERMUTATIONS.get(self.intensities, "none"),
        )

    def encoder(self) -> nn.Module:
        """Perceptron and maximum."""
        return SphereEncoder(self.q_max, self.width, self.layers, self.intensities)


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
    """The maximum over the reflections of a cube of a perceptron that reads one reflection.

    Args:
        max_index: largest Miller index of the cube.
        width: features of the last layer, and of the embedding.
        layers: number of layers.
        intensities: one of `crystalbench.models.diffraction.base.INTENSITIES`.
        orientations: orientations to average over in evaluation mode; 0 to keep the orientation of the pattern.
    """

    miller: Tensor
    fixed: Tensor

    def __init__(self, max_index: int, width: int, layers: int, intensities: str, orientations: int) -> None:
        super().__init__()
        self.width, self.orientations = width, orientations
        self.intensities = ScaledIntensities(intensities)
        self.register_buffer("miller", torch.from_numpy(miller_indices(max_index)).float(), persistent=False)
        rotations = random_orthogonal(max(1, orientations), generator=torch.Generator().manual_seed(0))
        self.register_buffer("fixed", rotations if orientations else torch.eye(3)[None], persistent=False)
        self.layers = _perceptron(4, width, layers)

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        intensities = self.intensities(batch["intensities"])
        g = self.miller @ batch["reciprocal"] / LENGTH
        if self.training:
            rotations = random_orthogonal(batch.size, g) if self.orientations else self.fixed.expand(batch.size, 3, 3)
            return self._embed(g, intensities, rotations, self.intensities.factors(batch.size, intensities))
        total = g.new_zeros((batch.size, self.width))
        for k, rotation in enumerate(self.fixed):
            factors = g.new_full((batch.size,), (k + 0.5) / len(self.fixed))
            scaled = factors if self.intensities.kind == "random_scale" else None
            total += self._embed(g, intensities, rotation.expand(batch.size, 3, 3), scaled)
        return total / len(self.fixed)

    def _embed(self, g: Tensor, intensities: Tensor, rotations: Tensor, factors: Tensor | None) -> Tensor:
        """Embeddings (n, width) of patterns rotated by matrices (n, 3, 3) and scaled by factors (n,)."""
        if factors is not None:
            intensities = intensities * factors[:, None]
        rows = torch.cat([g @ rotations, intensities.unsqueeze(-1)], dim=-1)
        if self.training:
            return self._maxima(rows)
        parts = torch.split(rows, max(1, _POINTS_AT_ONCE // rows.shape[1]))
        return torch.cat([self._maxima(part) for part in parts])

    def _maxima(self, rows: Tensor) -> Tensor:
        """Embeddings (n, width) of reflections (n, points, 4)."""
        features = _applied(self.layers, rows.reshape(-1, rows.shape[-1])).view(*rows.shape[:2], -1)
        return torch.relu(features.amax(1))  # the relu of the maximum is the maximum of the relu


class SphereEncoder(nn.Module):
    """The maximum over the reflections in a sphere of a perceptron that reads the invariants of one reflection.

    Args:
        q_max: radius of the sphere in Å⁻¹, the unit of lengths.
        width: features of the last layer, and of the embedding.
        layers: number of layers.
        intensities: one of `crystalbench.models.diffraction.base.INTENSITIES`.
    """

    def __init__(self, q_max: float, width: int, layers: int, intensities: str) -> None:
        super().__init__()
        self.width, self.q_max = width, q_max
        self.intensities = ScaledIntensities(intensities)
        self.layers = _perceptron(4, width, layers)

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        owners = batch.owners[REFLECTION]
        intensities = self.intensities(batch["intensities"])
        weights = torch.ones_like(intensities) if self.intensities.kind == "none" else intensities
        g = _points(batch)
        lengths = torch.linalg.vector_norm(g, dim=1)
        angles = mean_legendre(g, weights, owners, batch.size)
        if self.intensities.kind == "random_scale":
            factors = self.intensities.factors(batch.size, intensities) if self.training else None
            intensities = intensities * (0.5 if factors is None else factors[owners])
        rows = torch.cat([(lengths / self.q_max)[:, None], intensities[:, None], angles], dim=1)
        if self.training:
            return torch.relu(
                torch.segment_reduce(_applied(self.layers, rows), "max", lengths=batch.counts[REFLECTION])
            )
        # The features of all rows are never in memory at once.
        maxima = rows.new_full((batch.size, self.width), -torch.inf)
        for part, owner in zip(torch.split(rows, _POINTS_AT_ONCE), torch.split(owners, _POINTS_AT_ONCE), strict=True):
            features = _applied(self.layers, part)
            maxima.scatter_reduce_(0, owner.unsqueeze(1).expand_as(features), features, "amax")
        return torch.relu(maxima)


def mean_legendre(g: Tensor, weights: Tensor, owners: Tensor, n: int) -> Tensor:
    """Weighted means of P₂ and P₄ of the cosine between each reflection and all reflections of its crystal.

    A mean over pairs would be quadratic in the number of reflections. But with v the six products of two components of
    a direction (those of different components times √2), the squared cosine is v · v′, so that the means of its first
    and second power are the products of v with the means of v′ and of v′ v′ᵀ.

    Args:
        g: (rows, 3) reflections; 000 has no direction, gets zeros and does not count.
        weights: (rows,) not negative.
        owners: (rows,) crystal of each row.
        n: number of crystals.

    Returns:
        (rows, 2).
    """
    lengths = torch.linalg.vector_norm(g, dim=1, keepdim=True)
    present = (lengths > 1e-6).to(g.dtype)
    x, y, z = (g / lengths.clamp_min(1e-6)).unbind(1)
    products = torch.stack([x * x, y * y, z * z, *(math.sqrt(2) * p for p in (x * y, x * z, y * z))], dim=1) * present
    weighted = products * weights[:, None]
    total = g.new_zeros(n).index_add_(0, owners, weights * present[:, 0]).clamp_min_(1e-12)
    first = g.new_zeros(n, 6).index_add_(0, owners, weighted) / total[:, None]
    second = g.new_zeros(n, 6, 6)
    for part in torch.split(torch.arange(len(g), device=g.device), _POINTS_AT_ONCE):
        second.index_add_(0, owners[part], weighted[part, :, None] * products[part, None, :])
    second /= total[:, None, None]
    square = (products * first[owners]).sum(1)
    fourth = torch.cat(
        [
            torch.einsum("pi,pij,pj->p", products[part], second[owners[part]], products[part])
            for part in torch.split(torch.arange(len(g), device=g.device), _POINTS_AT_ONCE)
        ]
    )
    counted = (lengths[:, 0] > 1e-6) & (total[owners] > 1e-12)
    means = torch.stack([(3 * square - 1) / 2, (35 * fourth - 30 * square + 3) / 8], dim=1)
    return means.mul_(counted[:, None])


def _points(batch: Batch) -> Tensor:
    """Reciprocal-lattice points g = (h, k, l) B of a sphere in Å⁻¹, (rows, 3)."""
    cells = batch["reciprocal"][batch.owners[REFLECTION]]
    return torch.einsum("pi,pij->pj", batch["miller"].to(cells.dtype), cells)


def _perceptron(inputs: int, width: int, layers: int) -> nn.ModuleList:
    """Layers with batch normalisation; those before the last have a quarter of its width."""
    sizes = [inputs, *[max(1, width // 4)] * (layers - 1), width]
    return nn.ModuleList(
        nn.Sequential(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b)) for a, b in itertools.pairwise(sizes)
    )


def _applied(layers: nn.ModuleList, rows: Tensor) -> Tensor:
    """Features (rows, width) of reflections, before the last relu."""
    for k, layer in enumerate(layers):
        rows = layer(torch.relu(rows) if k else rows)
    return rows
