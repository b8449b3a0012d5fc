"""DiffractionGrid: a convolutional network on the cube of Miller indices."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from crystalbench.models.diffraction.base import PatternNetwork, ScaledIntensities
from crystalbench.representations.diffraction import DiffractionPattern
from crystalbench.representations.diffraction.pattern import LARGEST_INDEX, miller_indices

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch


@dataclass
class DiffractionGrid(PatternNetwork):
    """A convolutional network on the cube of Miller indices, with intensity and ``|g|`` as channels.

    Every layer makes the cube smaller by two, until one cell is left, so there are ``max_index`` layers. The layers
    before the last have a quarter of its width. Directions are those of the standard cell.

    Attributes:
        max_index: largest Miller index of the cube.
    """

    max_index: Annotated[int, Interval(ge=1, le=LARGEST_INDEX)] = 3

    @property
    def representation(self) -> DiffractionPattern:
        """Reflections in a cube of Miller indices."""
        return DiffractionPattern(max_index=self.max_index, **self._pattern)

    def encoder(self) -> nn.Module:
        """Three-dimensional convolutions."""
        return GridEncoder(self.max_index, self.width, self.intensities)


class GridEncoder(nn.Module):
    """A convolutional network on the cube of Miller indices.

    Convolutions of size three without padding reduce the cube from 2m + 1 to a single cell in m layers, so features
    depend on the position in the cube.

    Args:
        max_index: largest Miller index m.
        width: features of the last layer, and of the embedding.
        intensities: one of `crystalbench.models.diffraction.base.INTENSITIES`.
    """

    miller: Tensor

    def __init__(self, max_index: int, width: int, intensities: str) -> None:
        super().__init__()
        self.width, self.side = width, 2 * max_index + 1
        self.intensities = ScaledIntensities(intensities)
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
