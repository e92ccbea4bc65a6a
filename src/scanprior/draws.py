"""Random draws that do not depend on how many processes share a step.

Every draw has a row a sample. A process that holds only some rows of the step's global batch draws
for all of them and keeps its own, so that one process, two processes and accumulated gradients see
the same views. A plain ``torch.Generator`` holds all rows.
"""

import numpy as np
import torch
from torch import Tensor


class Rng(torch.Generator):
    """The generator of one step, and the rows ``first, first + 1, ...`` of ``total`` it is for."""

    first: int
    total: int


def rng_of(seed: int, step: int, *, device: torch.device, first: int, total: int) -> Rng:
    """The generator of step ``step``: a pure function of ``(seed, step)``."""
    rng = Rng(device)
    rng.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1))
    rng.first, rng.total = first, total
    return rng


def _mine(drawn: Tensor, n: int, rng: torch.Generator) -> Tensor:
    return drawn[rng.first : rng.first + n] if isinstance(rng, Rng) else drawn


def _rows(n: int, rng: torch.Generator) -> int:
    return rng.total if isinstance(rng, Rng) else n


def uniform(
    rng: torch.Generator, n: int, *shape: int, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """``(n, *shape)`` numbers in [low, high)."""
    drawn = torch.rand(_rows(n, rng), *shape, generator=rng, device=rng.device)
    return _mine(drawn, n, rng) * (high - low) + low


def normal(rng: torch.Generator, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` standard normal numbers."""
    return _mine(torch.randn(_rows(n, rng), *shape, generator=rng, device=rng.device), n, rng)


def integers(rng: torch.Generator, high: int, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` integers in [0, high)."""
    drawn = torch.randint(high, (_rows(n, rng), *shape), generator=rng, device=rng.device)
    return _mine(drawn, n, rng)


def distinct(rng: torch.Generator, high: int, n: int, k: int) -> Tensor:
    """``(n, k)`` integers in [0, high), no two the same within a row."""
    return uniform(rng, n, high).argsort(1)[:, :k]
