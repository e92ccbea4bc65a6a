"""Small pieces between an encoder's levels and a loss."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from scanprior.contracts import Encoder, Step


def mlp(inside: int, outside: int, hidden: int = 256) -> nn.Sequential:
    """One hidden layer and ReLU before the answer (the paper's appendix)."""
    return nn.Sequential(
        nn.Linear(inside, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outside)
    )


def embed(encoder: Encoder, x: Tensor) -> Tensor:
    """``(*lead, c, *s)`` to ``(*lead, d)``: the coarsest level, averaged over space."""
    lead = x.shape[: -1 - encoder.spatial_dims]
    features = encoder(x.flatten(0, len(lead) - 1))[-1]
    return features.flatten(2).float().mean(-1).unflatten(0, lead)


def spread(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """1 where the directions of ``z`` are all over the sphere, 0 where they are all the same."""
    directions = F.normalize(z.detach().float(), dim=-1)
    return (1 - directions.mean(0).square().sum()).clamp(min=0).sqrt()


def classify(logits: Float[Tensor, "b k"], target: Int[Tensor, " b"]) -> Step:
    """Cross-entropy, and how often the largest logit is the right one."""
    accuracy = (logits.argmax(-1) == target).float().mean()
    return Step(F.cross_entropy(logits.float(), target), {"accuracy": accuracy})
