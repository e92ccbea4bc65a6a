"""The paper's Exemplar transforms, drawn for a whole batch and applied on its device."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from scanprior import draws, nd


def transform(
    x: Float[Tensor, "b c *s"],
    rng: torch.Generator,
    *,
    flip: float,
    rotate: float,
    intensity: float,
    zoom: float,
    max_angle: float,
) -> Float[Tensor, "b c *s"]:
    """Every sample draws its own; flip, rotation and zoom are one resampling.

    Args:
        flip, rotate, intensity, zoom: probabilities; of a flip along one axis, of a rotation in one
            plane, of brightness and contrast, of zooming by 0.8 to 1.25.
        max_angle: degrees.
    """
    b, dims = len(x), x.ndim - 2
    axis = draws.integers(rng, dims, b)
    flipped = draws.uniform(rng, b) < flip
    mirror = 1.0 - 2.0 * torch.nn.functional.one_hot(axis, dims) * flipped[:, None]

    turned = draws.uniform(rng, b) < rotate
    angle = draws.uniform(rng, b, low=-1.0, high=1.0) * math.radians(max_angle) * turned
    turn = nd.turn(draws.integers(rng, nd.planes(dims), b), angle, dims)

    zoomed = draws.uniform(rng, b) < zoom
    factor = 1.25 ** (draws.uniform(rng, b, low=-1.0, high=1.0) * zoomed)

    # affine_grid's axes run from -1 to 1 whatever their length: turn in voxels, not in fractions
    sides = torch.tensor(x.shape[:1:-1], dtype=torch.float, device=x.device)
    matrix = turn * sides[None, None] / sides[None, :, None]
    matrix = mirror[:, :, None] * matrix * factor[:, None, None]
    matrix = torch.cat([matrix, torch.zeros(b, dims, 1, device=x.device)], -1)
    # where nothing moves, interpolation would only blur: those samples are taken as they are
    moved = (flipped | turned | zoomed).view(-1, *[1] * (dims + 1))
    out = torch.where(moved, nd.affine(x, matrix, padding="reflection"), x)

    changed = (draws.uniform(rng, b) < intensity).float()
    wide = (-1, *[1] * (dims + 1))
    contrast = 1 + changed * draws.uniform(rng, b, low=-0.25, high=0.25)
    brightness = changed * draws.uniform(rng, b, low=-0.25, high=0.25)
    scale = x.flatten(1).std(1)
    return out * contrast.view(wide) + (brightness * scale).view(wide)
