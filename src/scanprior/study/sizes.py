"""How large a study's crops are, and how long a training that sees as much as another."""

import math
from collections.abc import Collection, Iterable

from scanprior.data.crops import fitting_crop
from scanprior.data.store import Store, Volume
from scanprior.fit import Training
from scanprior.nn import encoders
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.pretrain import Pretrain
from scanprior.study.plan import Study


def fitting(study: Study, store: Store, held: Collection[str]) -> tuple[int, ...]:
    """The crop that fits the volumes of ``store`` but those ``held``, and the encoder."""
    dims = store.spatial_dims
    encoder = encoders.build(study.encoder, dims, store.channels, study.widths)
    volumes: list[Volume] = [v for v in store if v.id not in held]
    return fitting_crop(volumes, dims, multiple=encoder.strides[-1])


def steps_like(
    others: Iterable[Pretrain | Finetune], training: Training, crop: tuple[int, ...]
) -> int:
    """Steps of ``training`` that see as many voxels as the longest of ``others`` does."""
    return math.ceil(max(map(_voxels, others)) / (training.batch_size * math.prod(crop)))


def _voxels(recipe: Pretrain | Finetune) -> int:
    assert recipe.crop is not None
    return recipe.training.steps * recipe.training.batch_size * math.prod(recipe.crop)
