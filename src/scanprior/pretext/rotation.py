"""Rotation: by which right angle was the crop turned? Gidaris et al. 2018; paper section 3.4."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scanprior import draws, nd
from scanprior.contracts import Encoder, InputError, Step, Task, Views, at_least
from scanprior.nn.heads import classify, embed, features, mlp, spread


@dataclass(frozen=True, kw_only=True)
class Rotation(Task):
    """The paper's 10 turns about one axis in 3D, 4 in 2D; right angles interpolate nothing."""

    single_axis: bool = True
    """In 3D, ask for the 10 turns about one axis; otherwise for all 24."""
    versions: int = 1
    """Differently turned versions of each crop."""

    def __post_init__(self) -> None:
        at_least(1, versions=self.versions)

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """A random cube of each crop, turned: ``(b, versions, c, *cube)``.

        Raises :class:`InputError` where there are fewer turns than versions.
        """
        sides = torch.tensor(batch.shape[2:], device=batch.device)
        cube, dims, b = int(sides.min()), batch.ndim - 2, len(batch)
        turns = nd.rotations(dims, single_axis=self.single_axis)
        if self.versions > len(turns):
            raise InputError(
                f"versions {self.versions} are more than the {len(turns)} turns of a {dims}D crop; "
                f"use {len(turns)} or fewer."
            )
        corner = (draws.uniform(rng, b, 1, dims) * (sides - cube + 1)).long()
        upright = nd.cut(batch, corner, [cube] * dims).expand(-1, self.versions, *[-1] * (dims + 1))
        target = draws.distinct(rng, len(turns), b, self.versions)
        turned = torch.empty(upright.shape, dtype=batch.dtype, device=batch.device)
        for number, rotation in enumerate(turns):
            rows = target == number
            turned[rows] = nd.rotate(upright[rows], rotation)
        return Views(turned, target)

    def head(self, encoder: Encoder) -> nn.Module:
        turns = nd.rotations(encoder.spatial_dims, single_axis=self.single_axis)
        return mlp(features(encoder), len(turns))

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        z = embed(encoder, views.inputs).flatten(0, 1)
        step = classify(head(z), views.target.flatten())
        return Step(step.loss, step.metrics | {"spread": spread(z)})
