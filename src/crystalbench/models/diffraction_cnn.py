"""DiffractionCNN: networks that see a crystal as a three-dimensional diffraction pattern."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.model import Invariance
from crystalbench.models.network import NetworkModel
from crystalbench.nn.batches import Batch
from crystalbench.representations.diffraction import DiffractionPattern, DiffractionPowerSpectrum
from crystalbench.representations.diffraction.cells import CELLS
from crystalbench.representations.diffraction.pattern import POINTS, REFLECTION, miller_indices
from crystalbench.representations.diffraction.power_spectrum import FLOOR, PRESENT, SPAN

if TYPE_CHECKING:
    from crystalbench.representations import Representation

NETWORKS = ("points", "grid", "power")
INTENSITY_KINDS = ("full", "random_scale", "absences", "none")
LENGTH = 5.0
"""deepKNet's unit of reciprocal lengths in Å⁻¹."""

_SPECTRUM_FLOOR = 1e-3
_POINTS_AT_ONCE = 1 << 14  # where no gradients are kept


@dataclass
class DiffractionCNN(NetworkModel):
    """A network on three-dimensional diffraction patterns, after deepKNet (Phys. Rev. Research, 2022).

    It sees the reciprocal lattice and the intensity of every reflection. It knows elements only by how strongly they
    scatter, and atoms only by how their waves add up.

    Three networks read the pattern. ``points`` is the published one: each reflection, a row of three coordinates and an
    intensity, goes through the same perceptron with batch normalisation (convolutions of size one), then the maximum
    over all reflections is taken; patterns are turned at random while training, and at prediction the embeddings of a
    few fixed orientations are averaged. ``grid`` is a convolutional network on the cube of Miller indices, with the
    intensity and ``|g|`` as channels; every layer makes the cube smaller by two, until one cell is left. ``power`` is
    convolutional along ``|g|`` and reads the rotation-invariant power spectrum.

    Deviations: the training and the head are the shared ones; orientations are uniform over O(3); embeddings are
    averaged over several orientations where the original predicts from a single random one.

    Attributes:
        network_kind: ``points``, ``grid`` or ``power``.
        width: features of the embedding. The layers before the last have a quarter of them in ``points`` and ``grid``,
            the convolutions half of them in ``power``.
        layers: layers before pooling in ``points``, convolutions in ``power``; ``grid`` has max_index of them.
        input_dropout: share of the spectrum hidden while training; only in ``power``.
        intensities: ``full``; ``random_scale`` multiplies the intensities of a crystal by one random number, in
            ``power`` before they are scaled; ``absences`` tells whether there is any; ``none`` tells positions only.
        points: ``cube`` of Miller indices, or ``sphere`` in reciprocal space; only in ``points``.
        max_index: largest Miller index of the cube; 0 and −1 for basis vectors only, not in ``grid``.
        q_max: radius in Å⁻¹ of the sphere and of the power spectrum.
        shells: radial shells of the power spectrum.
        l_max: largest degree of the power spectrum, even.
        scattering: ``xray`` or ``neutron``.
        cell: ``primitive`` or ``conventional`` standard cell; not in ``power``.
        symprec: tolerance of the symmetry search in Å.
        turned: whether patterns are turned at random; only in ``points``.
        orientations: orientations averaged at prediction; only in ``points``, where patterns are turned.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    network_kind: str = "power"
    width: Annotated[int, CategoricalDistribution((64, 128, 256, 512))] = 128
    layers: Annotated[int, IntDistribution(1, 4)] = 2
    input_dropout: Annotated[float, FloatDistribution(0.0, 0.3)] = 0.1
    intensities: str = "full"
    points: str = "cube"
    max_index: int = 3
    q_max: float = 1.0
    shells: Annotated[int, CategoricalDistribution((16, 24, 32))] = 24
    l_max: Annotated[int, CategoricalDistribution((0, 4, 8, 12))] = 12
    scattering: str = "xray"
    cell: str = "primitive"
    symprec: float = 0.1
    turned: bool = True
    orientations: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        options = (("network_kind", NETWORKS), ("intensities", INTENSITY_KINDS), ("points", POINTS), ("cell", CELLS))
        for name, known in options:
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} = {getattr(self, name)!r}; it must be one of {', '.join(known)}")
        for name in ("width", "layers", "orientations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.input_dropout < 1:
            raise ConfigError(f"input_dropout = {self.input_dropout}; it must be in [0, 1)")
        if self.network_kind == "grid" and self.max_index < 1:
            raise ConfigError(f"max_index = {self.max_index}; a grid needs at least 1")
        _ = self.representation  # which checks its own options

    @property
    def invariances(self) -> frozenset[Invariance]:
        """All of the power spectrum; mirror images diffract alike, and patterns depend on the standard cell."""
        return super().invariances if self.network_kind == "power" else frozenset({Invariance.REFLECTION})

    @property
    def representation(self) -> Representation:
        """Power spectrum, or pattern in a cube or a sphere."""
        if self.network_kind == "power":
            return DiffractionPowerSpectrum(
                q_max=self.q_max,
                shells=self.shells,
                l_max=self.l_max,
                intensities=self.intensities if self.intensities in ("absences", "none") else "linear",
                scattering=self.scattering,
                symprec=self.symprec,
            )
        return DiffractionPattern(
            points="cube" if self.network_kind == "grid" else self.points,
            max_index=self.max_index,
            q_max=self.q_max,
            scattering=self.scattering,
            cell=self.cell,
            symprec=self.symprec,
        )

    def encoder(self) -> nn.Module:
        """The network chosen."""
        if self.network_kind == "power":
            return SpectrumEncoder(
                self.shells, self.l_max, self.width, self.layers, self.input_dropout, self.intensities
            )
        if self.network_kind == "grid":
            return GridEncoder(self.max_index, self.width, self.intensities)
        return PointsEncoder(
            None if self.points == "sphere" else self.max_index,
            self.width,
            self.layers,
            self.intensities,
            self.orientations if self.turned else 0,
        )


def random_orthogonal(n: int, like: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Orthogonal matrices (n, 3, 3), uniform (Haar) over rotations and improper rotations.

    Q of the QR decomposition of a Gaussian matrix is uniform once the signs of R's diagonal are made positive
    (Mezzadri, Notices of the AMS 54, 592, 2007); deepKNet leaves them as they come.

    Args:
        n: number of matrices.
        like: a tensor on whose device they are made.
        generator: source of randomness; torch's own by default.
    """
    gaussian = torch.randn(n, 3, 3, generator=generator, device=None if like is None else like.device)
    q, r = torch.linalg.qr(gaussian)
    signs = torch.where(torch.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    uniform: Tensor = q * signs.unsqueeze(-2)
    return uniform


class Intensities(nn.Module):
    """Intensities as the network is shown them: on deepKNet's logarithmic scale, about 0 to 1, or less than that.

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
        """One factor for each crystal (n,), uniform in [0, 1), or None where intensities are not scaled."""
        return torch.rand(n, device=like.device) if self.kind == "random_scale" else None


class PointsEncoder(nn.Module):
    """deepKNet: the maximum over reflections of a perceptron that reads one reflection.

    Args:
        max_index: of the cube; None for a sphere.
        width: features of the last layer, and of the embedding.
        layers: number of layers.
        intensities: one of `INTENSITIES`.
        orientations: orientations to average over in evaluation mode; 0 to leave patterns as they stand.
    """

    miller: Tensor
    fixed: Tensor

    def __init__(self, max_index: int | None, width: int, layers: int, intensities: str, orientations: int) -> None:
        super().__init__()
        self.width, self.orientations = width, orientations
        self.intensities = Intensities(intensities)
        miller = torch.zeros(0, 3) if max_index is None else torch.from_numpy(miller_indices(max_index)).float()
        self.register_buffer("miller", miller, persistent=False)
        turns = random_orthogonal(max(1, orientations), generator=torch.Generator().manual_seed(0))
        self.register_buffer("fixed", turns if orientations else torch.eye(3)[None], persistent=False)
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
            turns = random_orthogonal(batch.size, g) if self.orientations else self.fixed.expand(batch.size, 3, 3)
            factors = self.intensities.factors(batch.size, intensities)
            return self._embed(g, intensities, turns, factors, batch, counts)
        total = g.new_zeros((batch.size, self.width))
        for k, turn in enumerate(self.fixed):
            factors = g.new_full((batch.size,), (k + 0.5) / len(self.fixed))
            scaled = factors if self.intensities.kind == "random_scale" else None
            total += self._embed(g, intensities, turn.expand(batch.size, 3, 3), scaled, batch, counts)
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
        turns: Tensor,
        factors: Tensor | None,
        batch: Batch,
        counts: Tensor | None,
    ) -> Tensor:
        """Embeddings (n, width) of patterns turned by matrices (n, 3, 3) and scaled by factors (n,)."""
        if counts is None:
            if factors is not None:
                intensities = intensities * factors[:, None]
            rows = torch.cat([g @ turns, intensities.unsqueeze(-1)], dim=-1)
            if self.training:
                return self._maxima(rows)
            parts = torch.split(rows, max(1, _POINTS_AT_ONCE // rows.shape[1]))
            return torch.cat([self._maxima(part) for part in parts])
        owners = batch.owners[REFLECTION]
        if factors is not None:
            intensities = intensities * factors[owners]
        turned = torch.einsum("pi,pij->pj", g, turns[owners])
        rows = torch.cat([turned, intensities.unsqueeze(-1)], dim=-1)
        if self.training:
            return self._ragged_maxima(rows, counts)
        _, sizes = torch.unique_consecutive((counts.cumsum(0) - 1) // _POINTS_AT_ONCE, return_counts=True)
        parts = torch.split(counts, sizes.tolist())
        pieces = torch.split(rows, [int(part.sum()) for part in parts])
        return torch.cat([self._ragged_maxima(*pair) for pair in zip(pieces, parts, strict=True)])

    def _ragged_maxima(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Embeddings (n, width) of reflections (rows, 4), of which crystals have (n,) counts."""
        return torch.relu(torch.segment_reduce(self._perceptron(rows), "max", lengths=counts))

    def _maxima(self, rows: Tensor) -> Tensor:
        """Embeddings (n, width) of reflections (n, points, 4)."""
        features = self._perceptron(rows.reshape(-1, rows.shape[-1])).view(*rows.shape[:2], -1)
        return torch.relu(features.amax(1))  # of the maximum, which is the maximum of the relu

    def _perceptron(self, rows: Tensor) -> Tensor:
        """Features (rows, width) of reflections (rows, 4), before the last relu."""
        for k, layer in enumerate(self.layers):
            rows = layer(torch.relu(rows) if k else rows)
        return rows


class GridEncoder(nn.Module):
    """A convolutional network on the cube of Miller indices.

    Convolutions of size three without padding take the cube from 2m + 1 to a single cell in m layers, so that every
    feature knows where in the cube it is.

    Args:
        max_index: m.
        width: features of the last layer, and of the embedding.
        intensities: one of `INTENSITIES`.
    """

    miller: Tensor

    def __init__(self, max_index: int, width: int, intensities: str) -> None:
        super().__init__()
        self.width, self.side = width, 2 * max_index + 1
        self.intensities = Intensities(intensities)
        self.register_buffer("miller", torch.from_numpy(miller_indices(max_index)).float(), persistent=False)
        sizes = [2, *[max(1, width // 4)] * (max_index - 1), width]
        self.layers = nn.Sequential(
            *(
                module
                for a, b in itertools.pairwise(sizes)
                for module in (nn.Conv3d(a, b, 3, bias=False), nn.BatchNorm3d(b), nn.SiLU())
            )
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        intensities = self.intensities(batch["intensities"])
        factors = self.intensities.factors(batch.size, intensities) if self.training else None
        if factors is not None:
            intensities = intensities * factors[:, None]
        elif self.intensities.kind == "random_scale":
            intensities = intensities / 2  # the mean factor
        lengths = torch.linalg.vector_norm(self.miller @ batch["reciprocal"], dim=-1)
        cube = torch.stack([intensities, lengths], dim=1).view(batch.size, 2, self.side, self.side, self.side)
        embedding: Tensor = self.layers(cube).flatten(1)
        return embedding


class SpectrumEncoder(nn.Module):
    """A convolutional network along |g| on the logarithms of a power spectrum.

    Args:
        shells: radial shells.
        l_max: largest degree.
        width: features of the embedding; the convolutions have half as many.
        layers: number of convolutions.
        dropout: share of the inputs hidden while training.
        intensities: one of `INTENSITIES`.
    """

    def __init__(self, shells: int, l_max: int, width: int, layers: int, dropout: float, intensities: str) -> None:
        super().__init__()
        self.width = width
        self.intensities = Intensities(intensities)
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
