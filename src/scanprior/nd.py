"""Operations that mean the same in 2D and 3D. The only module that asks how many axes there are."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

Conv = {2: nn.Conv2d, 3: nn.Conv3d}
AvgPool = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
AdaptiveAvgPool = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}

Rotation = tuple[tuple[int, ...], tuple[bool, ...]]
"""The order the axes are taken in, then which of them are flipped."""


@functools.cache
def rotations(spatial_dims: int, *, single_axis: bool = True) -> tuple[Rotation, ...]:
    """Right-angle rotations, identity first: 4 in 2D, 10 about a single axis in 3D (24 in all).

    They are the signed permutations of the axes with determinant +1.
    """
    found = []
    for order in itertools.permutations(range(spatial_dims)):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        for flips in itertools.product((False, True), repeat=spatial_dims):
            if (inversions + sum(flips)) % 2:  # determinant -1: a mirror image, not a rotation
                continue
            fixed = sum(a == i and not f for i, (a, f) in enumerate(zip(order, flips, strict=True)))
            if not single_axis or fixed >= spatial_dims - 2:
                found.append((order, flips))
    return tuple(found)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the last axes of ``x``."""
    order, flips = rotation
    lead = x.ndim - len(order)
    x = x.permute(*range(lead), *(lead + a for a in order))
    return x.flip([lead + i for i, f in enumerate(flips) if f])


def cut(
    x: Float[Tensor, "b c *s"], corners: Int[Tensor, "b n d"], size: Sequence[int]
) -> Float[Tensor, "b n c *p"]:
    """Cut boxes of one ``size`` at ``corners`` (voxels) out of every image, in a single gather.

    Boxes must lie inside: nothing is checked, and one that does not takes voxels of the next row.
    """
    b, n, dims = corners.shape
    strides = torch.tensor([math.prod(x.shape[3 + a :]) for a in range(dims)])
    within = functools.reduce(
        lambda sums, axis: sums[..., None] + torch.arange(size[axis]) * strides[axis],
        range(dims),
        torch.zeros((), dtype=torch.long),
    ).flatten()
    start = (corners * strides.to(x.device)).sum(-1)  # (b, n), the flat index of each corner
    index = (start[..., None] + within.to(x.device)).flatten(1)
    flat = x.flatten(2)
    found = flat.gather(2, index[:, None].expand(-1, x.shape[1], -1))
    return found.reshape(b, x.shape[1], n, *size).transpose(1, 2)


def grid_corners(counts: Sequence[int], steps: Sequence[int]) -> Int[Tensor, "n d"]:
    """The corners of a regular grid of boxes, row-major."""
    axes = [torch.arange(count) * step for count, step in zip(counts, steps, strict=True)]
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], -1)


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around the true voxels of ``mask (*s)``; everything where none is true.

    An axis at a time: several times as fast as ``scipy.ndimage.find_objects``.
    """
    if not mask.any():
        return tuple(slice(0, size) for size in mask.shape)
    axes = range(mask.ndim)
    seen = [np.flatnonzero(mask.any(tuple(b for b in axes if b != a))).tolist() for a in axes]
    return tuple(slice(at[0], at[-1] + 1) for at in seen)


def pick(x: Shaped[Tensor, "b n *r"], index: Int[Tensor, "b k"]) -> Shaped[Tensor, "b k *r"]:
    """Per-sample indexing along axis 1."""
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def affine(
    x: Float[Tensor, "b c *s"],
    matrix: Float[Tensor, "b d d_plus_1"],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
) -> Float[Tensor, "b c *s"]:
    """Resample every image through its own matrix.

    It takes output to input, axes in ``affine_grid``'s order: last spatial axis first, -1 to 1.
    """
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)


def turn(plane: Int[Tensor, " b"], angle: Float[Tensor, " b"], dims: int) -> Float[Tensor, "b d d"]:
    """Rotation matrices by ``angle`` (radians) in the ``plane``-th pair of axes."""
    pairs = torch.tensor(list(itertools.combinations(range(dims), 2)), device=angle.device)
    first, second = pairs[plane].unbind(-1)
    rows = torch.arange(len(angle), device=angle.device)
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    matrix[rows, first, first] = matrix[rows, second, second] = angle.cos()
    matrix[rows, first, second] = -angle.sin()
    matrix[rows, second, first] = angle.sin()
    return matrix


def planes(dims: int) -> int:
    """How many planes a rotation can lie in: 1 in 2D, 3 in 3D."""
    return dims * (dims - 1) // 2
