"""Exemplar: a crop and its transformed version lie nearer than two crops.

Dosovitskiy et al. 2014; with a triplet loss, paper section 3.5 and equation 3.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from scanprior.contracts import Encoder, InputError, Step, Task, Views, angles, at_least, shares
from scanprior.nn.gather import gathered
from scanprior.nn.heads import embed, features, mlp, spread
from scanprior.nn.memory import Memory
from scanprior.nn.transforms import transform


class Shared(nn.Module):
    """One head for anchor, positive and negative, to the unit sphere; perhaps with a memory."""

    def __init__(self, encoder: Encoder, code: int, bank: int, momentum: float):
        super().__init__()
        self.project = mlp(features(encoder), code)
        self.memory = Memory(encoder, self.project, code, bank, momentum) if bank else None

    def forward(self, z: Float[Tensor, "*lead d"]) -> Float[Tensor, "*lead k"]:
        return F.normalize(self.project(z).float(), dim=-1)


@dataclass(frozen=True, kw_only=True)
class Exemplar(Task):
    """Anchor: the crop as it is. Positive: the paper's transforms of it. Negatives: other crops."""

    objective: Literal["triplet", "contrastive"] = "triplet"
    """Equation 3 with the L2 distance, or a contrastive loss over the same pairs."""
    negatives: Literal["batch", "dataset"] = "batch"
    """Other crops of the batch, or also a memory bank of crops seen before, from all volumes. The
    batch is the micro-batch, of all processes together: ``accumulation`` makes it smaller."""
    bank: int = 1024
    """How many embeddings the memory bank holds."""
    momentum: float = 0.99
    """Of the memory bank's teacher: how much of itself it keeps at every micro-batch."""
    margin: float = 1.0
    """Equation 3's alpha; embeddings have length 1, so distances are at most 2."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    code: int = 128
    """Length of an embedding (the paper's code size is 1024)."""
    flip: float = 0.5
    """Probability of a flip along a random axis."""
    rotate: float = 0.5
    """Probability of a rotation in a random plane."""
    intensity: float = 0.5
    """Probability of a change of brightness and contrast."""
    zoom: float = 0.2
    """Probability of zooming."""
    max_angle: float = 45.0
    """Degrees a rotation may reach."""

    def __post_init__(self) -> None:
        at_least(1, bank=self.bank, code=self.code)
        angles(max_angle=self.max_angle)
        shares(momentum=self.momentum, flip=self.flip, rotate=self.rotate)
        shares(intensity=self.intensity, zoom=self.zoom)
        for name in ("margin", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(
                    f"{name} {getattr(self, name)} is not possible; use a number above 0."
                )

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """``(b, 2, c, *s)``: each crop as it is and transformed; target ``(b,)``: its row."""
        positive = transform(
            batch,
            rng,
            flip=self.flip,
            rotate=self.rotate,
            intensity=self.intensity,
            zoom=self.zoom,
            max_angle=self.max_angle,
        )
        rows = torch.arange(len(batch), device=batch.device)
        return Views(torch.stack([batch, positive], 1), rows)

    def head(self, encoder: Encoder) -> nn.Module:
        bank = self.bank if self.negatives == "dataset" else 0
        return Shared(encoder, self.code, bank, self.momentum)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        assert isinstance(head, Shared)
        if head.memory is None:
            z = embed(encoder, views.inputs)
            anchor, positive = head(z).unbind(1)
            others, first = gathered(anchor)
        else:
            z = embed(encoder, views.inputs[:, :1])
            anchor = head(z)[:, 0]
            positive = head.memory.keys(views.inputs[:, 1])
            keys, first = gathered(positive)
            others = torch.cat([keys, head.memory.past()])
            if head.training:
                head.memory.step(encoder, head.project, keys)
        if len(others) == 1:
            raise InputError(
                "exemplar has no negative in a micro-batch of one crop; use a micro-batch of 2 or "
                "more (a larger batch_size, or less accumulation)."
            )
        itself = torch.arange(len(others), device=anchor.device) == first + views.target[:, None]

        near = distance(anchor, positive)
        far = distance(anchor[:, None], others[None])
        if self.objective == "triplet":
            loss = F.relu(near[:, None] - far + self.margin)[~itself].mean()
        else:
            against = (anchor @ others.T).masked_fill(itself, -torch.inf)
            logits = torch.cat([(anchor * positive).sum(-1, keepdim=True), against], 1)
            right = torch.zeros(len(anchor), dtype=torch.long, device=anchor.device)
            loss = F.cross_entropy(logits / self.temperature, right)
        accuracy = (near[:, None] < far)[~itself].float().mean()
        return Step(loss, {"accuracy": accuracy, "spread": spread(z.flatten(0, 1))})


def distance(a: Float[Tensor, "*n k"], b: Float[Tensor, "*m k"]) -> Tensor:
    """L2, with a gradient also where two embeddings are the same."""
    return ((a - b).square().sum(-1) + 1e-8).sqrt()
