"""Crops with the grade of the image they are from, for classification."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from scanprior.data.crops import Crops
from scanprior.data.store import Volume


class GradedCrops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops ``(c, *size)``, float32, and grades ``()``, int64.

    Sample ``i`` is a pure function of ``(seed, i)``. A crop of the images' own size is the whole
    image.
    """

    def __init__(self, volumes: Sequence[Volume], size: tuple[int, ...], *, seed: int, length: int):
        self.volumes, self.size, self.seed, self.length = volumes, size, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        # A stream apart from the crop's: else an image would always be cut at the same places.
        rng = np.random.default_rng((self.seed, i, 1))
        volume = self.volumes[int(rng.integers(len(self.volumes)))]
        crop = Crops([volume], self.size, seed=self.seed, length=self.length)[i]
        assert isinstance(crop, Tensor)
        return crop, torch.tensor(volume.grade)
