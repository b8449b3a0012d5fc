from __future__ import annotations

import pytest
import torch
from e3nn import o3
from torch import Tensor, nn

from crystalbench.nn.equivariant import PATHS, Gate, LinearByDegree, Product, Rescale, lengths

IRREPS = o3.Irreps("0e + 1o + 2e")
WIDTH = 4


@pytest.fixture(autouse=True)
def _seeded_and_precise() -> None:
    torch.manual_seed(0)


def operations() -> list[Tensor]:
    """Two rotations, the inversion and a rotation with inversion."""
    turns = list(o3.rand_matrix(2).double())
    return [*turns, -torch.eye(3).double(), -turns[0]]


def turned(features: Tensor, operation: Tensor) -> Tensor:
    """Features (9, N, C) of the crystal after an orthogonal operation."""
    return torch.einsum("ml,lnc->mnc", IRREPS.D_from_matrix(operation.float()).double(), features)


def features(n: int = 5) -> Tensor:
    return torch.randn(9, n, WIDTH, dtype=torch.float64)


@pytest.mark.parametrize(
    "part",
    [
        lambda f: LinearByDegree(WIDTH, 6).double()(f),
        lambda f: Product(WIDTH, 6).double()(f, f.roll(1, -1)),
        lambda f: Gate(WIDTH, 3).double()(f, f[0, :, :3]),
        lambda f: Rescale(WIDTH).double()(f),
    ],
    ids=["linear", "product", "gate", "rescale"],
)
def test_layers_commute_with_rotations_and_reflections(part: nn.Module) -> None:
    before = features()
    for operation in operations():
        torch.manual_seed(1)
        one = turned(part(before), operation)
        torch.manual_seed(1)
        other = part(turned(before, operation))
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.parametrize("lmax", [0, 1])
def test_layers_of_a_smaller_largest_degree_have_fewer_components_and_commute(lmax: int) -> None:
    components = (lmax + 1) ** 2
    before = features()[:components]

    def layers(values: Tensor) -> Tensor:
        torch.manual_seed(1)
        values = LinearByDegree(WIDTH, WIDTH, lmax).double()(values)
        values = values + Product(WIDTH, WIDTH, lmax).double()(values, values.roll(1, -1))
        values = Gate(WIDTH, 3, lmax).double()(values, values[0, :, :3])
        rescaled: Tensor = Rescale(WIDTH, lmax).double()(values)
        return rescaled

    found = layers(before)
    assert found.shape == (components, 5, WIDTH)
    assert lengths(found).shape == (5, (lmax + 1) * WIDTH)
    for operation in operations():
        matrix = IRREPS.D_from_matrix(operation.float()).double()[:components, :components]
        after = layers(torch.einsum("ml,lnc->mnc", matrix, before))
        torch.testing.assert_close(after, torch.einsum("ml,lnc->mnc", matrix, found), atol=2e-5, rtol=0)


def test_lengths_are_invariant_and_have_a_gradient_at_zero() -> None:
    before = features()
    for operation in operations():
        torch.testing.assert_close(lengths(turned(before, operation)), lengths(before), atol=1e-5, rtol=0)
    nothing = torch.zeros(9, 1, WIDTH, requires_grad=True)
    lengths(nothing).sum().backward()
    assert torch.isfinite(nothing.grad).all()  # type: ignore[arg-type]


def test_every_allowed_path_is_coupled_as_in_e3nn() -> None:
    assert len(PATHS) == len(set(PATHS)) == 11
    irreps = o3.Irreps(f"{WIDTH}x0e + {WIDTH}x1o + {WIDTH}x2e")
    out = o3.Irreps([(WIDTH, (degree, (-1) ** degree)) for _, _, degree in PATHS])
    instructions = [(first, second, k, "uuu", False) for k, (first, second, _) in enumerate(PATHS)]
    reference = o3.TensorProduct(irreps, irreps, out, instructions, path_normalization="none")
    one, other = features().float(), features().float()

    def flat(values: Tensor) -> Tensor:
        """e3nn's order: degree by degree, channel by channel."""
        return torch.cat([values[a:b].permute(1, 2, 0).flatten(1) for a, b in ((0, 1), (1, 4), (4, 9))], 1)

    product = Product(WIDTH, WIDTH)
    coupled = torch.einsum("ox,xnc->onc", product.coefficients, (one.unsqueeze(1) * other.unsqueeze(0)).flatten(0, 1))
    expected = reference(flat(one), flat(other))
    start = column = 0
    for _, _, degree in PATHS:
        size = 2 * degree + 1
        mine = coupled[start : start + size].permute(1, 2, 0).flatten(1)
        torch.testing.assert_close(mine, expected[:, column : column + size * WIDTH], atol=1e-5, rtol=1e-5)
        assert mine.abs().max() > 0.1
        start, column = start + size, column + size * WIDTH
