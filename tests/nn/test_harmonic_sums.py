from __future__ import annotations

import pytest
import torch

from crystalbench.nn.edges import Segments
from crystalbench.nn.harmonic_sums import HarmonicSums


@pytest.mark.parametrize("lmax", [0, 1, 2, 4])
def test_sums_and_gradients_are_those_of_the_plain_formula(lmax: int) -> None:
    torch.manual_seed(0)
    owners, sites, channels = torch.tensor([0, 0, 0, 2, 2, 3]), 5, 4  # sites 1 and 4 have no edges
    harmonics = torch.randn(6, (lmax + 1) ** 2, dtype=torch.float64)
    messages = torch.randn(lmax + 1, 6, channels, dtype=torch.float64, requires_grad=True)
    found = HarmonicSums.of(Segments.of_owners(owners, sites), harmonics)(messages)
    degrees = [degree for degree in range(lmax + 1) for _ in range(2 * degree + 1)]
    terms = harmonics.t().unsqueeze(-1) * messages[degrees]
    expected = torch.zeros(len(degrees), sites, channels, dtype=torch.float64).index_add(1, owners, terms)
    torch.testing.assert_close(found, expected)
    factors = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((found * factors).sum(), messages)
    (expected_gradient,) = torch.autograd.grad((expected * factors).sum(), messages)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("lmax", [0, 1, 3])
def test_reading_is_the_transpose_of_summing(lmax: int) -> None:
    """Also for edges that are not in the order of their sites."""
    torch.manual_seed(0)
    owners, sites, channels = torch.tensor([3, 0, 2, 0, 2, 0]), 5, 4
    ascending, order = torch.sort(owners, stable=True)
    harmonics = torch.randn(6, (lmax + 1) ** 2, dtype=torch.float64)
    sums = HarmonicSums.of(Segments.of_owners(ascending, sites), harmonics, order)
    tensors = torch.randn((lmax + 1) ** 2, sites, channels, dtype=torch.float64, requires_grad=True)
    terms = harmonics.t().unsqueeze(-1) * tensors[:, owners]
    expected = torch.stack([part.sum(0) for part in terms.split([2 * degree + 1 for degree in range(lmax + 1)])])
    found = sums.read(tensors)
    torch.testing.assert_close(found, expected)
    messages = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((found * messages).sum(), tensors)
    torch.testing.assert_close(sums(messages), gradient)
    (expected_gradient,) = torch.autograd.grad((expected * messages).sum(), tensors)
    torch.testing.assert_close(gradient, expected_gradient)


def test_sites_without_any_edge_have_sums_of_zero() -> None:
    owners = torch.zeros(0, dtype=torch.int64)
    sums = HarmonicSums.of(Segments.of_owners(owners, 3), torch.zeros(0, 9))
    messages = torch.zeros(3, 0, 4, requires_grad=True)
    found = sums(messages)
    assert found.shape == (9, 3, 4)
    assert not found.any()
    found.sum().backward()
    assert messages.grad is not None
    assert messages.grad.shape == messages.shape
