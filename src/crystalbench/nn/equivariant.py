"""Layers on spherical tensors of degree 0, 1 and 2, which rotate with the crystal.

Features are (9, N, C): nine components, one of degree 0, three of degree 1, five of degree 2, in e3nn's order, for each
of C channels. With a largest degree ``lmax`` of 1 or 0, there are four components or one. Their parity is that of the
spherical harmonics, (−1)^l (e3nn's ``0e + 1o + 2e``): no pseudo-tensors, so every scalar is also unchanged by a
reflection. Components come first and channels last, so that the components of a degree are a block of memory, and
products are plain matrix products.
"""

from __future__ import annotations

import torch
from e3nn import o3
from torch import Tensor, nn

DEGREES = (0, 1, 2)
SLICES = tuple(slice(l**2, (l + 1) ** 2) for l in DEGREES)  # noqa: E741
"""The components of each degree."""
PATHS = tuple(
    (first, second, out)
    for out in DEGREES
    for first in DEGREES
    for second in DEGREES
    if abs(first - second) <= out <= first + second and (first + second + out) % 2 == 0
)
"""Degrees of two factors and of their product, ordered by the product's."""

_NOISE = 1e-4  # squared lengths below this count as zero: round-off of what vanishes by symmetry


def components(lmax: int) -> int:
    """Number of components of degree 0 to lmax."""
    return (lmax + 1) ** 2


def lengths(features: Tensor) -> Tensor:
    """Invariants (N, 3 C) of features (9, N, C): the scalars, and the lengths of the vectors and tensors.

    With a largest degree lmax, there are (lmax + 1) C of them. Lengths are √(|v|² / (2l + 1) + 10⁻⁴), which has a
    gradient at zero.
    """
    parts = [features[0]]
    parts += [torch.sqrt(features[rows].square().mean(0) + _NOISE) for rows in _slices(features)[1:]]
    return torch.cat(parts, dim=-1)


def _slices(features: Tensor) -> tuple[slice, ...]:
    """The components of each degree that the features have."""
    return tuple(rows for rows in SLICES if rows.stop <= len(features))


class LinearByDegree(nn.Module):
    """A linear map of channels for each degree, with a bias for scalars.

    Args:
        width: channels of the input.
        out_width: channels of the output.
        lmax: largest degree.
    """

    degrees: Tensor

    def __init__(self, width: int, out_width: int, lmax: int = 2) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(lmax + 1, width, out_width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(out_width))
        of_components = torch.repeat_interleave(torch.arange(lmax + 1), 2 * torch.arange(lmax + 1) + 1)
        self.register_buffer("degrees", of_components, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(9, N, width) to (9, N, out_width)."""
        bias = nn.functional.pad(self.bias.view(1, 1, -1), (0, 0, 0, 0, 0, len(features) - 1))
        return torch.baddbmm(bias, features, self.weights[self.degrees])


class Product(nn.Module):
    """The channel-wise tensor product of two sets of features, followed by a linear map of channels.

    Every pair of degrees is coupled to every degree that the rules of angular momentum and parity allow (11 paths),
    with Clebsch-Gordan (Wigner 3j) coefficients; then a linear map combines the channels and paths of each degree. It
    is the same function as e3nn's `FullyConnectedTensorProduct` with ``uuu`` paths and a linear layer, computed as
    a few matrix products.

    Args:
        width: channels of both factors.
        out_width: channels of the product.
        lmax: largest degree of the factors and of the product.
    """

    coefficients: Tensor

    def __init__(self, width: int, out_width: int, lmax: int = 2) -> None:
        super().__init__()
        rows, paths_within = [], [path for path in PATHS if max(path) <= lmax]
        for first, second, out in paths_within:
            block = torch.zeros(2 * out + 1, components(lmax), components(lmax))
            coupling = o3.wigner_3j(first, second, out) * (2 * out + 1) ** 0.5
            block[:, SLICES[first], SLICES[second]] = coupling.permute(2, 0, 1).to(block.dtype)
            rows.append(block.flatten(1))
        self.register_buffer("coefficients", torch.cat(rows), persistent=False)
        paths = [sum(path[2] == degree for path in paths_within) for degree in DEGREES[: lmax + 1]]
        self.weights = nn.ParameterList(torch.randn(p, width, out_width) / (p * width) ** 0.5 for p in paths)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(9, N, width) and (9, N, width) to (9, N, out_width)."""
        rows, count, width = first.shape
        outer = first.unsqueeze(1) * second.unsqueeze(0)
        coupled = self.coefficients @ outer.view(rows**2, count * width)
        sizes = [len(weight) * (2 * degree + 1) for degree, weight in enumerate(self.weights)]
        parts = [
            (block.view(len(weight), size // len(weight) * count, width) @ weight)
            .sum(0)
            .view(size // len(weight), count, weight.shape[-1])
            for size, block, weight in zip(sizes, torch.split(coupled, sizes), self.weights, strict=True)
        ]
        return torch.cat(parts)


class Gate(nn.Module):
    """Multiplies the vector and tensor of each channel by sigmoids of invariants, and applies SiLU to scalars.

    Args:
        width: channels.
        invariants: number of invariants.
        lmax: largest degree.
    """

    def __init__(self, width: int, invariants: int, lmax: int = 2) -> None:
        super().__init__()
        self.lmax = lmax
        self.open = nn.Linear(invariants, lmax * width) if lmax else None

    def forward(self, features: Tensor, invariants: Tensor) -> Tensor:
        """(9, N, width) features and (N, invariants) to (9, N, width)."""
        scalars = nn.functional.silu(features[:1])
        if self.open is None:
            return scalars
        gates = torch.sigmoid(self.open(invariants)).chunk(self.lmax, dim=-1)
        others = [features[rows] * gate for rows, gate in zip(_slices(features)[1:], gates, strict=True)]
        return torch.cat([scalars, *others])


class Rescale(nn.Module):
    """Divides vectors and tensors by their root mean square over the channels; scalars go through LayerNorm.

    A constant added to the mean square keeps features small that vanish by symmetry up to round-off.

    Args:
        width: channels.
        lmax: largest degree.
    """

    def __init__(self, width: int, lmax: int = 2) -> None:
        super().__init__()
        self.scalars = nn.LayerNorm(width)
        self.scales = nn.Parameter(torch.ones(lmax, width))

    def forward(self, features: Tensor) -> Tensor:
        """(9, N, width) to (9, N, width)."""
        parts = [self.scalars(features[:1])]
        for rows, scale in zip(_slices(features)[1:], self.scales, strict=True):
            part = features[rows]
            square = part.square().mean((0, 2)).unsqueeze(-1)
            parts.append(part * (torch.rsqrt(square + 0.1) * scale))
        return torch.cat(parts)
