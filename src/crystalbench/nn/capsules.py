"""Capsules of a crystal: atoms vote for the poses of parent capsules, which compete for them (Sabour et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from crystalbench.nn.equivariant import LinearByDegree, components

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

_LEAST = 1e-4  # added to squared lengths, so that the length has a gradient at zero


@dataclass
class Capsules:
    """The K capsules of n crystals.

    Attributes:
        couplings: (atoms, K) coupling of each atom to each capsule; rows sum to 1.
        shares: (n, K) mean coupling of the atoms of a crystal; rows sum to 1.
        presences: (n, K) in [0, 1), the degree to which a capsule is present: its length when squashed.
        features: (n, K, F) invariant features.
        poses: (n, K, (lmax + 1)², C) spherical tensors, which rotate with the crystal.
    """

    couplings: Tensor
    shares: Tensor
    presences: Tensor
    features: Tensor
    poses: Tensor


class CapsuleRouting(nn.Module):
    """Atoms routed to capsules by agreement (Sabour, Frosst and Hinton, NeurIPS 2017), with spherical tensors as poses.

    Each atom votes for each capsule with a transformation of that capsule: linear maps of its invariants and, degree by
    degree, of its spherical tensors. A coupling is a softmax over the capsules, so capsules compete for atoms. At first
    its logits are a function of the atom's invariants. A capsule is the mean over atoms of couplings times votes. In
    each further iteration, a logit grows by the agreement of the vote and the squashed capsule: a scalar product, which
    no rotation or reflection changes.

    Unlike in the paper, the first logits depend on the atom, sums over children are means over the atoms times K, so
    that repeating the cell changes nothing, lengths are root mean squares over the components, and agreements are
    divided by the square root of the number of components, as in attention. Features and poses are those before
    squashing, which are better scaled for what follows.

    Args:
        width: invariant features of an atom and of a capsule, F.
        channels: channels of the spherical tensors, C.
        capsules: number of capsules, K.
        iterations: 0 for equal couplings, 1 for couplings without agreement, more for routing by agreement.
        lmax: largest degree of the spherical tensors.
    """

    def __init__(self, width: int, channels: int, capsules: int, iterations: int, lmax: int = 2) -> None:
        super().__init__()
        self.count, self.iterations = capsules, iterations
        self.logits = (
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, capsules)) if iterations else None
        )
        self.vote = nn.Linear(width, capsules * width)
        self.pose_vote = LinearByDegree(channels, capsules * channels, lmax)
        self.sizes = [width, components(lmax) * channels]

    def forward(self, scalars: Tensor, tensors: Tensor, batch: Batch) -> Capsules:
        """Route atoms to capsules.

        Args:
            scalars: (N, F) invariant features of the atoms.
            tensors: (N, (lmax + 1)², C) equivariant features of the atoms.
            batch: the batch that the atoms belong to.
        """
        votes = self.votes(scalars, tensors)
        logits = scalars.new_zeros(len(scalars), self.count) if self.logits is None else self.logits(scalars)
        couplings = torch.softmax(logits, dim=-1)
        means = self._means(votes, couplings, batch)
        for _ in range(self.iterations - 1):
            agreements = (votes * squash(means).index_select(0, batch.owners["atom"])).sum(-1)
            logits = logits + agreements / votes.shape[-1] ** 0.5
            couplings = torch.softmax(logits, dim=-1)
            means = self._means(votes, couplings, batch)
        features, poses = torch.split(means, self.sizes, dim=-1)
        shaped = poses.reshape(*poses.shape[:2], *tensors.shape[1:])
        return Capsules(couplings, batch.mean(couplings, "atom"), presence(means), features, shaped)

    def votes(self, scalars: Tensor, tensors: Tensor) -> Tensor:
        """Votes (N, K, F + (lmax + 1)² C) of the atoms: features and pose, side by side."""
        features = self.vote(scalars).unflatten(-1, (self.count, -1))
        poses = self.pose_vote(tensors).unflatten(-1, (self.count, -1)).transpose(1, 2)
        return torch.cat([features, poses.flatten(2)], dim=-1)

    def _means(self, votes: Tensor, couplings: Tensor, batch: Batch) -> Tensor:
        """Capsules (n, K, F + (lmax + 1)² C) before squashing."""
        return self.count * batch.mean(couplings.unsqueeze(-1) * votes, "atom")


def presence(vectors: Tensor) -> Tensor:
    """Length s² / (1 + s²) of squashed vectors (..., d), in [0, 1).

    The length s of a vector is its root mean square over the components, so that it does not depend on their number.
    """
    squares = vectors.square().mean(-1)
    return squares / (1 + squares)


def squash(vectors: Tensor) -> Tensor:
    """Vectors of the same directions as vectors (..., d), with the lengths that `presence` gives."""
    squares = vectors.square().mean(-1, keepdim=True)
    return vectors * torch.sqrt(squares + _LEAST) / (1 + squares)
