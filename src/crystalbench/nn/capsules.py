"""Capsules of a crystal: atoms vote for the poses of parent capsules, which compete for them (Sabour et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.nn.equivariant import LinearByDegree

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch, Places

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
        self.count, self.channels, self.iterations = capsules, channels, iterations
        self.logits = (
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, capsules)) if iterations else None
        )
        self.vote = nn.Linear(width, capsules * width)
        self.pose_vote = LinearByDegree(channels, capsules * channels, lmax)

    def forward(
        self, scalars: Tensor, tensors: Tensor, batch: Batch, level: str = "atom", weights: Tensor | None = None
    ) -> Capsules:
        """Route atoms to capsules.

        Args:
            scalars: (N, F) invariant features of the atoms.
            tensors: ((lmax + 1)², N, C) equivariant features of the atoms.
            batch: the batch that the atoms belong to.
            level: level of the atoms, if a row represents several equal ones.
            weights: (N,) number of atoms that each row represents; 1 by default.
        """
        ones = scalars.new_ones(len(scalars), 1)
        atoms = torch.cat([ones, scalars, tensors.transpose(0, 1).flatten(1)], dim=1)
        parts = batch.parts(level, scalars.dtype, weights).unsqueeze(1)
        logits = scalars.new_zeros(len(scalars), self.count) if self.logits is None else self.logits(scalars)
        maps, groups = self._maps(), batch.places(level)
        grams = [m.transpose(-2, -1) @ m for m in maps]
        found = [self._routed(atoms, parts, logits, group, maps, grams) for group in groups]
        return found[0] if len(found) == 1 else _joined(found, groups)

    def _routed(
        self,
        atoms: Tensor,
        parts: Tensor,
        logits: Tensor,
        places: Places,
        maps: tuple[Tensor, Tensor],
        grams: list[Tensor],
    ) -> Capsules:
        """Route the atoms of some crystals of a batch.

        Args:
            atoms: (N, 1 + F + (lmax + 1)² C), all atoms of the batch.
            parts: (N, 1), the part of its crystal that each atom is.
            logits: (N, K), the first ones.
            places: where the atoms of these crystals are.
            maps: the linear maps of the votes.
            grams: their Gram matrices.
        """
        atoms, parts, logits = (places.padded(rows) for rows in (atoms, parts, logits))

        def coupled() -> tuple[Tensor, Tensor]:
            """Couplings, and the means of the atoms: a vote is a linear map of the atom, a capsule that of the mean."""
            couplings = torch.softmax(logits, dim=-1)
            return couplings, (couplings * parts).transpose(1, 2) @ atoms

        couplings, means = coupled()
        for _ in range(self.iterations - 1):
            logits = logits + self._agreements(atoms, means, *grams)
            couplings, means = coupled()
        capsules, width = self.count * _mapped(means, *maps), self.vote.in_features
        features, poses = capsules[..., :width], capsules[..., width:]
        shaped = poses.reshape(*poses.shape[:2], poses.shape[-1] // self.channels, self.channels)
        return Capsules(places.rows(couplings), means[..., 0], presence(capsules), features, shaped)

    def _agreements(self, atoms: Tensor, means: Tensor, scalars: Tensor, tensors: Tensor) -> Tensor:
        """Scalar products (n, A, K) of the votes W x of the atoms and the squashed capsules, K W x̄ before squashing.

        With the Gram matrix S = WᵀW, they are xᵀ S x̄ times a factor that follows from |K W x̄|² = K² x̄ᵀ S x̄.

        Args:
            atoms: x, (n, A, 1 + F + (lmax + 1)² C).
            means: x̄, (n, K, 1 + F + (lmax + 1)² C), means of the atoms that capsules are coupled to.
            scalars: S of the first 1 + F + C components.
            tensors: S of the others.
        """
        read, size = _mapped(means, scalars, tensors), means.shape[-1] - 1
        factors = self.count * squashing(self.count**2 * (means * read).sum(-1) / size) / size**0.5
        agreements: Tensor = (atoms @ read.transpose(1, 2)) * factors.unsqueeze(1)
        return agreements

    def _maps(self) -> tuple[Tensor, Tensor]:
        """The linear maps of the votes, out before in.

        Returns:
            Of 1, features and the scalars of tensors, (K, F + C, 1 + F + C); of the other components of tensors,
            (K, (lmax + 1)² − 1, C, C).
        """
        degrees, channels, _ = self.pose_vote.weights.shape
        weights = self.pose_vote.weights.view(degrees, channels, self.count, -1).permute(2, 0, 3, 1)
        width = self.vote.in_features
        of_features = functional.pad(self.vote.weight.view(self.count, width, width), (0, channels))
        of_poses = functional.pad(weights[:, 0], (width, 0))
        biases = torch.cat([self.vote.bias.view(self.count, -1), self.pose_vote.bias.view(self.count, -1)], dim=1)
        scalars = torch.cat([biases.unsqueeze(-1), torch.cat([of_features, of_poses], dim=1)], dim=2)
        return scalars, weights[:, self.pose_vote.degrees[1:]]


def _joined(found: list[Capsules], groups: list[Places]) -> Capsules:
    """The capsules of all groups, in the order of the batch."""
    atoms, crystals = (
        torch.argsort(torch.cat([index for index in indices if index is not None]))
        for indices in ([group.chosen for group in groups], [group.crystals for group in groups])
    )
    return Capsules(
        torch.cat([part.couplings for part in found])[atoms],
        *(
            torch.cat([getattr(part, name) for part in found])[crystals]
            for name in ("shares", "presences", "features", "poses")
        ),
    )


def _mapped(vectors: Tensor, scalars: Tensor, tensors: Tensor) -> Tensor:
    """Linear maps of vectors (n, K, 1 + F + (lmax + 1)² C): of the first 1 + F + C and of the other components."""
    channels = tensors.shape[-1]
    first, others = vectors[..., : scalars.shape[-1]], vectors[..., scalars.shape[-1] :]
    mapped = torch.einsum("nki,koi->nko", first, scalars)
    if not tensors.shape[1]:
        return mapped
    turned = torch.einsum("nkmi,kmoi->nkmo", others.reshape(*others.shape[:2], tensors.shape[1], channels), tensors)
    return torch.cat([mapped, turned.flatten(2)], dim=-1)


def presence(vectors: Tensor) -> Tensor:
    """Length s² / (1 + s²) of squashed vectors (..., d), in [0, 1).

    The length s of a vector is its root mean square over the components, so that it does not depend on their number.
    """
    squares = vectors.square().mean(-1)
    return squares / (1 + squares)


def squashing(squares: Tensor) -> Tensor:
    """The factors (...) that squash vectors of these squared lengths (...) to the lengths that `presence` gives."""
    return torch.sqrt(squares + _LEAST) / (1 + squares)
