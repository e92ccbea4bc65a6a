"""A grid of patches at a random place in every crop, each patch jittered within its cell."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scanprior import draws, nd
from scanprior.contracts import InputError

SMALLEST = 4
"""Voxels an axis of a patch, below which it shows nothing."""


def patch_grid(
    batch: Float[Tensor, "b c *s"], grid: int, jitter: int, rng: torch.Generator
) -> Float[Tensor, "b n c *p"]:
    """``grid`` patches an axis, row-major, at a random origin, with random gaps between them.

    Every patch moves by itself by 0 to ``jitter`` voxels an axis within its cell, so that an edge
    that goes on from one patch into the next gives nothing away (Doersch et al. 2015). An eighth of
    a cell is left for the grid's own random origin.

    Raises:
        InputError: the crop is too small for such a grid.
    """
    sides, b = batch.shape[2:], len(batch)
    cells = [side // grid - max(1, side // (8 * grid)) for side in sides]
    size = [cell - jitter for cell in cells]
    if min(size) < SMALLEST:
        enough = [_least(grid, jitter)] * len(sides)
        raise InputError(
            f"a crop of {_times(sides)} is too small for a grid of {grid} with jitter {jitter} and "
            f"patches of {SMALLEST} voxels; use a crop of at least {_times(enough)}, or a smaller "
            "grid or jitter."
        )
    slack = torch.tensor(
        [side - grid * cell for side, cell in zip(sides, cells, strict=True)], device=batch.device
    )
    corners = nd.grid_corners([grid] * len(sides), cells).to(batch.device)
    origin = (draws.uniform(rng, b, 1, len(sides)) * (slack + 1)).long()
    shift = draws.integers(rng, jitter + 1, b, len(corners), len(sides))
    return nd.cut(batch, corners + origin + shift, size)


def _least(grid: int, jitter: int) -> int:
    """The smallest side whose cells, min(n - 1, n - n // 8) for a side of grid * n, are enough."""
    cell = SMALLEST + jitter
    return grid * max(cell + 1, 8 * (cell - 1) // 7 + 1)


def _times(numbers: Sequence[int]) -> str:
    return "x".join(str(number) for number in numbers)
