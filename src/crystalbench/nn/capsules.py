"""Capsules, after SEN: atoms pooled into clusters, which interact by routing by agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.nn.equivariant import COMPONENTS, LinearByDegree, Rescale, lengths

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

_FEW = 1e-3  # share of the atoms below which a capsule's mean is shrunk to zero


@dataclass
class Capsules:
    """The K capsules of n crystals.

    Attributes:
        memberships: (atoms, K) membership of each atom in each capsule; rows sum to 1.
        shares: (n, K) mean membership of the atoms of a crystal; rows sum to 1.
        presences: (n, K) in [0, 1], the degree to which a capsule is present; 0 if no atom belongs to it.
        features: (n, K, F) invariant features.
        poses: (n, K, 9, C) spherical tensors of degree 0, 1 and 2, which rotate with the crystal.
    """

    memberships: Tensor
    shares: Tensor
    presences: Tensor
    features: Tensor
    poses: Tensor


class PrimaryCapsules(nn.Module):
    """Pools atoms into capsules by learned attention.

    The memberships of an atom are a softmax over the capsules of a function of its invariants. Feature and pose of a
    capsule are means over its atoms, so a supercell has the same capsules.

    Args:
        width: invariant features of an atom, F.
        channels: channels of the equivariant features, C.
        capsules: number of capsules, K.
    """

    def __init__(self, width: int, channels: int, capsules: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, capsules))
        self.presence = nn.Sequential(nn.Linear(width + 3 * channels, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, scalars: Tensor, tensors: Tensor, batch: Batch) -> Capsules:
        """Pool atoms into capsules.

        Args:
            scalars: (N, F) invariant features of the atoms.
            tensors: (N, 9, C) equivariant features of the atoms.
            batch: the batch that the atoms belong to.
        """
        memberships = torch.softmax(self.attention(scalars), dim=-1)
        rows = torch.cat([scalars, tensors.flatten(1), torch.ones_like(scalars[:, :1])], dim=1)
        pooled = batch.mean(memberships.unsqueeze(2) * rows.unsqueeze(1), "atom")  # (n, K, F + 9 C + 1)
        shares = pooled[..., -1]
        means = pooled[..., :-1] / (shares.unsqueeze(-1) + _FEW)
        features = means[..., : scalars.shape[1]]
        poses = means[..., scalars.shape[1] :].reshape(*means.shape[:2], COMPONENTS, tensors.shape[2])
        gates = torch.sigmoid(self.presence(torch.cat([features, lengths(poses)], dim=-1))).squeeze(-1)
        presences = gates * -torch.expm1(-shares * memberships.shape[1])
        return Capsules(memberships, shares, presences, features, poses)


class CapsuleTransformer(nn.Module):
    """Attention between the capsules of a crystal, with routing by agreement (Sabour et al., NeurIPS 2017).

    Every capsule casts a vote: a linear map of its feature and pose. Each capsule attends to the votes by a softmax of
    queries and keys, weighted by presences. After each round, the logit of a vote grows by its agreement with the
    attended mean: the scalar product of features and of poses, which no rotation changes.

    Args:
        width: invariant features of a capsule, F.
        channels: channels of its pose, C.
        rounds: rounds of routing.
        dropout: share of hidden units dropped while training.
    """

    def __init__(self, width: int, channels: int, rounds: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.rounds = rounds
        invariants = width + 3 * channels
        self.queries_keys = nn.Linear(invariants, 2 * width)
        self.vote = nn.Linear(invariants, width)
        self.pose_vote = LinearByDegree(channels, channels)
        self.agreement = nn.Parameter(torch.zeros(2))
        self.norm = nn.LayerNorm(width)
        self.pose_norm = Rescale(channels)
        self.update = nn.Sequential(
            nn.Linear(width + 3 * channels, 2 * width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, capsules: Capsules) -> Capsules:
        """Updated capsules."""
        inputs = torch.cat([capsules.features, lengths(capsules.poses)], dim=-1)
        queries, keys = self.queries_keys(inputs).chunk(2, dim=-1)
        votes, poses = self.vote(inputs), self.pose_vote(capsules.poses).flatten(2)
        logits = queries @ keys.transpose(1, 2) / queries.shape[-1] ** 0.5
        logits = logits + torch.log(capsules.presences + 1e-6).unsqueeze(1)
        strength = functional.softplus(self.agreement)
        for round_ in range(self.rounds):
            attention = torch.softmax(logits, dim=-1)
            mean_vote, mean_pose = attention @ votes, attention @ poses
            if round_ + 1 < self.rounds:
                logits = logits + strength[0] * (mean_vote @ votes.transpose(1, 2)) / votes.shape[-1]
                logits = logits + strength[1] * (mean_pose @ poses.transpose(1, 2)) / poses.shape[-1]
        updated_poses = self.pose_norm(capsules.poses + mean_pose.reshape(capsules.poses.shape))
        features = self.norm(capsules.features + mean_vote)
        features = features + self.update(torch.cat([features, lengths(updated_poses)], dim=-1))
        return Capsules(capsules.memberships, capsules.shares, capsules.presences, features, updated_poses)
