"""Crops: sample ``i`` of a run is a pure function of ``(seed, i)``.

So there are no epochs and no loader state: a resumed run starts at the next ``i``, and the number
of workers cannot change what is drawn.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from scanprior.data.store import Box, Volume

LARGEST = {2: 224, 3: 64}
"""Voxels an axis of a crop that nobody asked for, in 2D and in 3D."""


class Crops(Dataset[Tensor | tuple[Tensor, Tensor]]):
    """Random crops ``(c, *size)``, float32; with ``labels``, and the label map's crop ``(*size)``.

    A size of two numbers cuts slices, one voxel thick along the first axis, out of 3D volumes.
    A volume smaller than the crop lies at a random place in it, surrounded by the smallest value
    that each channel has in the crop (background: after z-scores zero is the tissue's mean).
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        size: tuple[int, ...],
        *,
        seed: int,
        length: int,
        labels: bool = False,
    ):
        self.volumes, self.size, self.seed = volumes, size, seed
        self.length, self.labels = length, labels

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> Tensor | tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, i))
        volume = self.volumes[int(rng.integers(len(self.volumes)))]
        space = volume.shape[1:]
        size = (1,) * (len(space) - len(self.size)) + self.size
        source, target = place(space, size, rng)
        image = volume.read(source).astype(np.float32)
        if image.shape[1:] != size:
            inside, axes = image, tuple(range(1, len(image.shape)))
            image = np.broadcast_to(inside.min(axes, keepdims=True), (len(inside), *size)).copy()
            image[(slice(None), *target)] = inside
        crop = torch.from_numpy(image).reshape(volume.shape[0], *self.size)
        if not self.labels:
            return crop
        label = np.zeros(size, np.int64)
        label[target] = volume.read_label(source)
        return crop, torch.from_numpy(label).reshape(self.size)


def place(
    space: tuple[int, ...], size: tuple[int, ...], rng: np.random.Generator
) -> tuple[Box, Box]:
    """A random box to read from ``space``, and where in a crop of ``size`` it belongs."""
    source, target = [], []
    for full, part in zip(space, size, strict=True):
        n = min(full, part)
        start, gap = int(rng.integers(full - n + 1)), int(rng.integers(part - n + 1))
        source.append(slice(start, start + n))
        target.append(slice(gap, gap + n))
    return tuple(source), tuple(target)


def fitting_crop(
    volumes: Sequence[Volume], spatial_dims: int, *, limit: int | None = None, multiple: int = 4
) -> tuple[int, ...]:
    """The largest crop that (nearly) every volume holds whole, so that padding gives nothing away.

    Per axis: the 5th percentile of the volumes' sides, down to a multiple, at most ``limit``
    (by default :data:`LARGEST`).
    """
    limit = limit or LARGEST[spatial_dims]
    sides = np.percentile([v.shape[1:] for v in volumes], 5, axis=0, method="lower")
    return tuple(
        int(min(limit, max(multiple, side // multiple * multiple)))
        for side in sides[-spatial_dims:]
    )
