"""Negatives from the whole data set: a queue of past embeddings, made by a slowly moving teacher.

Without the teacher the queue is a target that runs away: pushing all embeddings off it at once
lowers the loss, and nothing is learned (He et al. 2020, momentum contrast).
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scanprior.contracts import Encoder
from scanprior.nn.heads import embed


class Memory(nn.Module):
    """The teacher (an exponential moving average of encoder and projection) and its queue."""

    queue: Tensor
    filled: Tensor

    def __init__(self, encoder: Encoder, project: nn.Module, code: int, size: int, momentum: float):
        super().__init__()
        assert isinstance(encoder, nn.Module)
        self.momentum = momentum
        self.teacher = copy.deepcopy(nn.ModuleList([encoder, project])).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(size, code))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def keys(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b k"]:
        """The teacher's embeddings."""
        encoder, project = self.teacher
        assert isinstance(encoder, Encoder)
        return nn.functional.normalize(project(embed(encoder, x)).float(), dim=-1)

    def past(self) -> Float[Tensor, "m k"]:
        """Embeddings of earlier batches."""
        return self.queue[: int(self.filled)].clone()

    @torch.no_grad()
    def step(self, encoder: Encoder, project: nn.Module, keys: Float[Tensor, "n k"]) -> None:
        """Follow the student, put the newest keys in front and let the oldest go."""
        assert isinstance(encoder, nn.Module)
        students = (*encoder.parameters(), *project.parameters())
        for teacher, student in zip(self.teacher.parameters(), students, strict=True):
            teacher.lerp_(student.detach(), 1 - self.momentum)
        self.queue.copy_(torch.cat([keys, self.queue])[: len(self.queue)])
        self.filled.copy_((self.filled + len(keys)).clamp(max=len(self.queue)))
