"""Voxels: the same voxel in two versions of a crop lies nearer than any two voxels of it.

Not one of the paper's five. Those ask about whole crops or patches, and reach an encoder's fine
levels through the coarsest alone; this asks every level about places, as segmentation does
(Goncharov et al. 2023, vox2vec; of one level, Pinheiro et al. 2020, VADeR). The negatives are other
places of the same crop, as in CPC: the same anatomy in two people is not pushed apart.

Two versions lie much alike, so where a voxel is tells something about where it will be: who knows
only that is right 15 times of 100 in a crop of 32x48x32; a guess is right 0.8 times.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from scanprior import draws, nd
from scanprior.contracts import Encoder, InputError, Step, Task, Views, at_least
from scanprior.nn.augment import Augment
from scanprior.nn.heads import mlp, spread

CANDIDATES = 8
"""Places drawn for one that is wanted, since not all lie in both versions."""
MOST = 4096
"""Places of a crop: their pairs are 64 MiB of numbers a crop, several times over."""


@dataclass(frozen=True, kw_only=True)
class Voxels(Task):
    """Both versions are moved and recoloured; the loss is InfoNCE (the paper's equation 1, of
    cosines), either way round. On hippocampus it learned soonest at a rate of 4e-3."""

    points: int = 128
    """Places of a crop, between voxels too, that are told apart."""
    temperature: float = 0.1
    """Of the loss."""
    code: int = 64
    """Length of an embedding."""
    offset: float = 0.2
    """How far a version may be shifted along an axis, as a share of half its length."""
    augment: Augment = field(
        default_factory=lambda: Augment(
            affine=1.0, rotation=20.0, scaling=(0.8, 1.25), contrast=0.8, gamma=0.3, noise=0.3
        )
    )
    """How a version is turned, scaled and recoloured."""

    def __post_init__(self) -> None:
        at_least(2, points=self.points)
        if self.points > MOST:  # the loss has a number for every pair, of every crop
            raise InputError(f"points {self.points} is too many to compare; use {MOST} or fewer.")
        at_least(1, code=self.code)
        if not 0 < self.temperature < math.inf:
            raise InputError(
                f"temperature {self.temperature} is not possible; use a number above 0."
            )
        most = 0.5 / self.augment.scaling[1]
        if not 0 <= self.offset <= most:
            raise InputError(
                f"offset {self.offset} is not possible where crops are scaled up to "
                f"{self.augment.scaling[1]:g}: two versions must have something in common; use a "
                f"number from 0 to {most:g}, or less scaling."
            )

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """``(b, 2, c, *s)``: two versions of each crop; target ``(b, 2, points, d)``: where the
        same voxels lie in each, in ``grid_sample``'s coordinates (last axis first, -1 to 1)."""
        x = batch.float()
        n, dims = len(x), x.ndim - 2
        motions = [self._motion(x, rng) for _ in range(2)]
        shown = [self.augment.recolour(nd.affine(x, m, padding="border"), rng) for m in motions]
        (first, here), (second, there) = [m.split((dims, 1), dim=-1) for m in motions]
        places = draws.uniform(rng, n, CANDIDATES * self.points, dims, low=-1.0, high=1.0)
        in_crop = places @ first.mT + here.mT
        other = (in_crop - there.mT) @ torch.linalg.inv(second).mT
        inside = ((in_crop.abs() < 1) & (other.abs() < 1)).all(-1)
        chosen = inside.float().argsort(dim=1, descending=True, stable=True)
        # where too few lie in both versions, those that do are taken again
        turn = torch.arange(self.points, device=x.device) % inside.sum(1, keepdim=True).clamp(min=1)
        chosen = chosen.gather(1, turn)
        at = torch.stack([nd.pick(places, chosen), nd.pick(other, chosen)], 1)
        return Views(torch.stack(shown, 1), at)

    def _motion(self, x: Tensor, rng: torch.Generator) -> Float[Tensor, "b d d_plus_1"]:
        """From a version's coordinates to the crop's."""
        n, dims = len(x), x.ndim - 2
        _, matrix = self.augment.motions(x.shape[2:], n, rng)
        matrix[:, :, dims] = draws.uniform(rng, n, dims, low=-self.offset, high=self.offset)
        return matrix

    def head(self, encoder: Encoder) -> nn.Module:
        return mlp(sum(encoder.channels), self.code)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        found = sampled(encoder(views.inputs.flatten(0, 1)), views.target.flatten(0, 1))
        z = F.normalize(head(found).float(), dim=-1)
        one, other = z.unflatten(0, (-1, 2)).unbind(1)
        alike = (one @ other.mT / self.temperature).masked_fill(repeated(views.target), -torch.inf)
        logits = torch.cat([alike, alike.mT]).flatten(0, 1)
        itself = torch.arange(self.points, device=z.device).repeat(len(z))
        accuracy = (logits.argmax(-1) == itself).float().mean()
        metrics = {"accuracy": accuracy, "spread": spread(z.flatten(0, 1))}
        return Step(F.cross_entropy(logits, itself), metrics)


def repeated(at: Float[Tensor, "b two n d"]) -> Bool[Tensor, "b n n"]:
    """Which pairs are one place taken twice: no negative of itself."""
    first = at[:, 0]
    same = (first[:, :, None] == first[:, None]).all(-1)
    return same & ~torch.eye(first.shape[1], dtype=torch.bool, device=at.device)


def sampled(
    levels: list[Tensor], at: Float[Tensor, "b n d"]
) -> Float[Tensor, "b n channels_of_all_levels"]:
    """Every level at places ``at``, interpolated: hypercolumns (Hariharan et al. 2015)."""
    grid = at.unflatten(1, (-1, *[1] * (at.shape[-1] - 1)))
    columns = [
        F.grid_sample(level.float(), grid, padding_mode="border", align_corners=False).flatten(2)
        for level in levels
    ]
    return torch.cat(columns, 1).mT
