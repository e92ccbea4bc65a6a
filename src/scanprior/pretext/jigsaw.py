"""Jigsaw: in which order were the patches shuffled? Noroozi & Favaro 2016; paper section 3.3."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scanprior import draws, nd
from scanprior.contracts import Encoder, InputError, Step, Task, Views, at_least
from scanprior.nn.heads import classify, embed, features, mlp, spread
from scanprior.nn.patches import patch_grid

POOL = 50_000
"""Candidates looked at; all permutations where there are fewer (up to 8 pieces)."""


@functools.cache
def distant_permutations(pieces: int, count: int) -> Int[Tensor, "p n"]:
    """``count`` permutations of ``pieces``, greedily far apart in Hamming distance.

    Each next one is the candidate whose nearest chosen permutation is farthest (Noroozi & Favaro's
    algorithm 1 with the minimum); the same set every time.

    Raises:
        InputError: there are fewer than ``count`` permutations.
    """
    if count > math.factorial(pieces):
        raise InputError(
            f"{pieces} patches have only {math.factorial(pieces)} orders, not {count}; "
            "use fewer permutations or a larger grid."
        )
    number = np.int8 if pieces < 127 else np.int16
    if math.factorial(pieces) <= POOL:
        pool = np.array(list(itertools.permutations(range(pieces))), number)
    else:
        identity = np.tile(np.arange(pieces, dtype=number), (max(POOL, 4 * count), 1))
        pool = np.random.default_rng(0).permuted(identity, axis=1)
    columns = np.ascontiguousarray(pool.T)  # compared a piece at a time, it is faster
    chosen, nearest = [0], np.full(len(pool), pieces + 1, number)
    while True:
        distance = np.zeros(len(pool), number)
        for piece in range(pieces):
            distance += columns[piece] != columns[piece, chosen[-1]]
        nearest = np.minimum(nearest, distance)
        if len(chosen) == count:
            return torch.from_numpy(pool[chosen].astype(np.int64))
        chosen.append(int(nearest.argmax()))


class Distances(NamedTuple):
    """How far apart a set of permutations is, in pieces that differ."""

    minimum: int
    mean: float


def hamming_distances(permutations: Int[Tensor, "p n"]) -> Distances:
    """Over all pairs of a set."""
    p, n = permutations.shape
    same = torch.zeros(p, p, dtype=torch.int32)
    for piece in permutations.T:
        same += piece[:, None] == piece[None]
    apart = (n - same)[torch.triu(torch.ones(p, p, dtype=torch.bool), 1)]
    return Distances(int(apart.min()), float(apart.float().mean()))


class Assemble(nn.Module):
    """Patch embeddings ``(b, pieces, d)``, side by side, to the order's logits."""

    def __init__(self, inside: int, embedding: int, pieces: int, orders: int):
        super().__init__()
        self.project = nn.Linear(inside, embedding)
        self.answer = mlp(pieces * embedding, orders, hidden=512)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b p"]:
        return self.answer(self.project(z).flatten(1))


@dataclass(frozen=True, kw_only=True)
class Jigsaw(Task):
    """Which of ``permutations`` fixed orders of the grid's patches is this?"""

    grid: int = 3
    """Patches an axis."""
    jitter: int = 3
    """Voxels each patch may move within its cell."""
    permutations: int = 100
    """Orders to tell apart; the paper's 1000 need long training."""
    embedding: int = 64
    """Length of a patch's embedding."""

    def __post_init__(self) -> None:
        at_least(2, grid=self.grid, permutations=self.permutations)
        at_least(0, jitter=self.jitter)
        at_least(1, embedding=self.embedding)

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """Shuffled patches ``(b, grid^d, c, *patch)``; place k shows patch ``order[target][k]``."""
        patches = patch_grid(batch, self.grid, self.jitter, rng)
        orders = distant_permutations(patches.shape[1], self.permutations).to(batch.device)
        target = draws.integers(rng, len(orders), len(batch))
        return Views(nd.pick(patches, orders[target]), target)

    def head(self, encoder: Encoder) -> nn.Module:
        pieces = self.grid**encoder.spatial_dims
        return Assemble(features(encoder), self.embedding, pieces, self.permutations)

    def facts(self, spatial_dims: int) -> dict[str, float]:
        """How far apart the orders are, in patches of another place."""
        orders = distant_permutations(self.grid**spatial_dims, self.permutations)
        return {f"distance_{k}": float(v) for k, v in hamming_distances(orders)._asdict().items()}

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        z = embed(encoder, views.inputs)
        step = classify(head(z), views.target)
        return Step(step.loss, step.metrics | {"spread": spread(z.flatten(0, 1))})
