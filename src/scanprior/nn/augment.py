"""Augmentation of labelled crops: a whole batch on its device, the mask following the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, radians
from typing import overload

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scanprior import nd
from scanprior.contracts import InputError, angles, at_least
from scanprior.draws import normal, uniform


@dataclass(frozen=True)
class Augment:
    """How strongly to vary a labelled crop. Probabilities are per sample; 0 turns a change off."""

    affine: float = 0.5
    """Probability of the one resampling: linear for the image, nearest for the mask."""
    rotation: float = 15.0
    """Largest angle in degrees, in every plane; 180 is every angle."""
    scaling: tuple[float, float] = (0.85, 1.15)
    """Range of the size of what is shown."""
    contrast: float = 0.5
    """Probability of gain and shift."""
    gain: tuple[float, float] = (0.8, 1.25)
    """Range of the factor on the distance from the channel's mean."""
    shift: float = 0.2
    """Largest shift, in standard deviations of the channel."""
    gamma: float = 0.2
    """Probability of raising the channel, scaled to [0, 1], to a power."""
    power: tuple[float, float] = (0.7, 1.5)
    """Range of that power."""
    noise: float = 0.2
    """Probability of Gaussian noise."""
    deviation: float = 0.1
    """Largest standard deviation of the noise, in standard deviations of the channel."""

    def __post_init__(self) -> None:
        for name in ("affine", "contrast", "gamma", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"augment.{name} {getattr(self, name)} is no probability; use a number from "
                    "0 to 1."
                )
        for name in ("scaling", "gain", "power"):
            low, high = getattr(self, name)
            if not 0 < low <= high < inf:
                raise InputError(
                    f"augment.{name} {low} {high} is no range; use two positive numbers, the "
                    "smaller first."
                )
        angles(**{"augment.rotation": self.rotation})
        for name in ("shift", "deviation"):
            at_least(0, **{f"augment.{name}": getattr(self, name)})

    @overload
    def __call__(
        self, image: Tensor, mask: Tensor, rng: torch.Generator, flip_axes: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(
        self, image: Tensor, mask: None, rng: torch.Generator, flip_axes: Sequence[int] = ()
    ) -> tuple[Tensor, None]: ...

    def __call__(
        self,
        image: Float[Tensor, "b c *s"],
        mask: Int[Tensor, "b *s"] | None,
        rng: torch.Generator,
        flip_axes: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "b c *s"], Int[Tensor, "b *s"] | None]:
        """New image and mask; the given ones stay as they are. Half the samples flip, per axis.

        Without a mask the image becomes the same.
        """
        image = image.float()
        for axis in flip_axes:
            flipped = _yes(rng, image, 0.5)
            image = torch.where(flipped, image.flip(2 + axis), image)
            if mask is not None:
                mask = torch.where(flipped[:, 0], mask.flip(1 + axis), mask)
        image, mask = self._move(image, mask, rng)
        image = self.recolour(image, rng)
        return image, mask

    def _move(
        self, image: Tensor, mask: Tensor | None, rng: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        moved, matrix = self.motions(image.shape[2:], len(image), rng)
        chosen = moved.nonzero()[:, 0]
        if len(chosen) == 0:
            return image, mask
        matrix = matrix[chosen]
        # What lies outside repeats the border, in image and mask alike: no air where there is none.
        pixels = nd.affine(image[chosen], matrix, padding="border")
        image = image.index_copy(0, chosen, pixels)
        if mask is None:
            return image, None
        labels = nd.affine(mask[chosen, None].float(), matrix, mode="nearest", padding="border")
        return image, mask.index_copy(0, chosen, labels[:, 0].to(mask.dtype))

    def motions(
        self, size: Sequence[int], n: int, rng: torch.Generator
    ) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n d d_plus_1"]]:
        """Who moves, and the rotation and scaling about the middle, for ``nd.affine``.

        Whoever stays has the identity.
        """
        moved = uniform(rng, n) < self.affine
        dims, most = len(size), radians(self.rotation)
        angles = uniform(rng, n, nd.planes(dims), low=-most, high=most)
        scale = uniform(rng, n, 1, 1, low=self.scaling[0], high=self.scaling[1])
        stays = torch.eye(dims, device=rng.device)
        turned = stays.expand(n, dims, dims)
        for plane in range(nd.planes(dims)):
            which = torch.full((n,), plane, device=rng.device)
            turned = turned @ nd.turn(which, angles[:, plane], dims)
        # A rotation is one in voxels; the coordinates run from -1 to 1 whatever the axis's length.
        half = torch.tensor(size[::-1], dtype=torch.float32, device=rng.device)
        matrix = torch.where(moved[:, None, None], turned / scale * half / half[:, None], stays)
        return moved, torch.cat((matrix, matrix.new_zeros(n, dims, 1)), dim=-1)

    def recolour(
        self, image: Float[Tensor, "b c *s"], rng: torch.Generator
    ) -> Float[Tensor, "b c *s"]:
        """New intensities, every voxel where it was."""
        n, c = image.shape[:2]
        one = (n, c, *(1,) * (len(image.shape) - 2))
        axes = tuple(range(2, len(image.shape)))
        mean = image.mean(axes, keepdim=True)
        spread = image.std(axes, keepdim=True, correction=0)

        changed = _yes(rng, image, self.contrast)
        gain = uniform(rng, *one, low=self.gain[0], high=self.gain[1])
        shift = uniform(rng, *one, low=-self.shift, high=self.shift) * spread
        gain = torch.where(changed, gain, 1)
        image = torch.where(changed, mean * (1 - gain) + shift, 0).addcmul(image, gain)

        bent = (uniform(rng, n) < self.gamma).nonzero()[:, 0]
        power = uniform(rng, *one, low=self.power[0], high=self.power[1])
        if len(bent):  # a power is dear: only of the samples that take it
            part = image[bent]
            low, high = part.amin(axes, keepdim=True), part.amax(axes, keepdim=True)
            extent = (high - low).clamp(min=1e-6)
            part = ((part - low) / extent).clamp(min=0) ** power[bent] * extent + low
            image = image.index_copy(0, bent, part)

        noisy = _yes(rng, image, self.noise)
        deviation = uniform(rng, n, *one[1:], high=self.deviation) * spread
        return image.addcmul(normal(rng, *image.shape), torch.where(noisy, deviation, 0))


def _yes(rng: torch.Generator, like: Tensor, probability: float) -> Tensor:
    """``(b, 1, *1)`` booleans."""
    return uniform(rng, len(like), *(1,) * (len(like.shape) - 1)) < probability
