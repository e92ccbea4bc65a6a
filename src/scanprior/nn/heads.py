"""Small pieces between an encoder's levels and a loss."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from scanprior import nd
from scanprior.contracts import Encoder, Step


def mlp(inside: int, outside: int, hidden: int = 256) -> nn.Sequential:
    """One hidden layer and ReLU before the answer (the paper's appendix)."""
    return nn.Sequential(
        nn.Linear(inside, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outside)
    )


CELLS = 2
"""Cells an axis that a level is averaged in. Averaged over all of space, what instance
normalisation leaves of a level is nearly constant, and where things lie is lost. It leaves maxima
alone: those may be over all of space."""


def features(encoder: Encoder) -> int:
    """How many numbers :func:`embed` gives."""
    return encoder.channels[-1] * CELLS**encoder.spatial_dims


def embed(encoder: Encoder, x: Tensor) -> Tensor:
    """``(*lead, c, *s)`` to ``(*lead, features)``: the coarsest level, two cells an axis.

    Views no larger than the encoder's stride are :func:`continued`.
    """
    lead = x.shape[: -1 - encoder.spatial_dims]
    x = continued(x.flatten(0, len(lead) - 1), encoder.strides[-1])
    coarsest = encoder(x)[-1].float()
    pool = nd.AdaptiveAvgPool[encoder.spatial_dims](CELLS)
    return pool(coarsest).flatten(1).unflatten(0, lead)


def continued(x: Float[Tensor, "b c *s"], stride: int) -> Float[Tensor, "b c *t"]:
    """``x`` with its outermost voxels repeated until a level of ``stride`` has two voxels an axis.

    Instance norm of one voxel is undefined.
    """
    short = [max(0, stride + 1 - side) for side in x.shape[:1:-1]]
    ends = [end for n in short for end in (n // 2, n - n // 2)]
    return F.pad(x, ends, mode="replicate") if any(short) else x


def spread(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """1 where the directions of ``z`` are all over the sphere, 0 where they are all the same."""
    directions = F.normalize(z.detach().float(), dim=-1)
    return (1 - directions.mean(0).square().sum()).clamp(min=0).sqrt()


def classify(logits: Float[Tensor, "b k"], target: Int[Tensor, " b"]) -> Step:
    """Cross-entropy, and how often the largest logit is the right one."""
    accuracy = (logits.argmax(-1) == target).float().mean()
    return Step(F.cross_entropy(logits.float(), target), {"accuracy": accuracy})
