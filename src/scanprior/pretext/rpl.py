"""Relative patch location: where does this patch lie, seen from the middle one?

Doersch et al. 2015; in 3D, paper section 3.2 and equation 2.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scanprior import draws, nd
from scanprior.contracts import Encoder, InputError, Step, Task, Views, at_least
from scanprior.nn.heads import classify, embed, features, mlp, spread
from scanprior.nn.patches import patch_grid


class Compare(nn.Module):
    """Patch embeddings ``(b, 1 + q, d)``, the reference first, to logits ``(b, q, cells - 1)``."""

    def __init__(self, inside: int, embedding: int, classes: int):
        super().__init__()
        self.project = nn.Linear(inside, embedding)
        self.answer = mlp(2 * embedding, classes)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b q k"]:
        z = self.project(z)
        reference, query = z[:, :1].expand(-1, z.shape[1] - 1, -1), z[:, 1:]
        return self.answer(torch.cat([reference, query], -1))


@dataclass(frozen=True, kw_only=True)
class RelativePatchLocation(Task):
    """26 places around the middle of a 3x3x3 grid, 8 in 2D."""

    grid: int = 3
    """Patches an axis; odd, so that there is a middle one."""
    jitter: int = 3
    """Voxels each patch may move within its cell."""
    queries: int = 4
    """Patches of each crop whose place is asked for; the reference is encoded once for all."""
    embedding: int = 64
    """Length of a patch's embedding."""

    def __post_init__(self) -> None:
        if self.grid < 3 or self.grid % 2 == 0:
            raise InputError(f"grid {self.grid} has no middle patch; use 3 or another odd number.")
        at_least(0, jitter=self.jitter)
        at_least(1, queries=self.queries, embedding=self.embedding)

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """``(b, 1 + queries, c, *patch)``, the middle patch first; target ``(b, queries)``.

        Raises :class:`InputError` where the crop is too small, or has fewer places than queries.
        """
        patches = patch_grid(batch, self.grid, self.jitter, rng)
        if self.queries >= patches.shape[1]:
            places = patches.shape[1] - 1
            raise InputError(
                f"queries {self.queries} are more than the {places} places around the middle of a "
                f"grid of {self.grid}; use {places} or fewer."
            )
        middle = patches.shape[1] // 2
        target = draws.distinct(rng, patches.shape[1] - 1, len(batch), self.queries)
        reference = torch.full_like(target[:, :1], middle)
        others = target + (target >= middle)  # every cell but the middle one
        return Views(nd.pick(patches, torch.cat([reference, others], 1)), target)

    def head(self, encoder: Encoder) -> nn.Module:
        classes = self.grid**encoder.spatial_dims - 1
        return Compare(features(encoder), self.embedding, classes)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        z = embed(encoder, views.inputs)
        step = classify(head(z).flatten(0, 1), views.target.flatten())
        return Step(step.loss, step.metrics | {"spread": spread(z.flatten(0, 1))})
