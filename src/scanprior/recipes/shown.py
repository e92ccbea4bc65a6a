"""What a pretext task showed the encoder."""

import numpy as np
import torch

from scanprior.data.crops import Crops, fitting_crop
from scanprior.data.split import unheld
from scanprior.data.store import Store
from scanprior.recipes.pretrain import Pretrain

CROPS = 4
"""Crops that are shown."""
_TILES = 8


def shown(recipe: Pretrain) -> np.ndarray:
    """The first channel of the first views of a few crops, ``(tiles, *s)``, up to eight tiles.

    Of the crops that the run of ``recipe`` began with; the views are drawn anew.
    """
    store = Store(recipe.store)
    volumes = unheld(store, recipe.split) if recipe.hold_out else list(store)
    crop = recipe.crop or fitting_crop(volumes, recipe.spatial_dims or store.spatial_dims)
    crops = Crops(volumes, crop, seed=recipe.seed, length=CROPS)
    batch = torch.stack([one for i in range(CROPS) if isinstance(one := crops[i], torch.Tensor)])
    views = recipe.task.views(batch, torch.Generator().manual_seed(recipe.seed))
    return views.inputs.flatten(0, 1)[:_TILES, 0].numpy()
