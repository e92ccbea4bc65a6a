"""Pretraining: one pretext task on the images of a store, no label is read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from scanprior.alone import alone
from scanprior.contracts import InputError, Learner, Task
from scanprior.data.crops import Crops, fitting_crop
from scanprior.data.split import unheld
from scanprior.data.store import Store
from scanprior.fit import Training, fit
from scanprior.nn import encoders
from scanprior.pretext.rotation import Rotation
from scanprior.recipes.begin import (
    SMALLEST,
    begin,
    check_crop,
    check_numbers,
    check_padding,
    describe,
    rehearse,
)
from scanprior.saved import freeze, save_weights, write_json


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Pretrain an encoder on unlabelled volumes."""

    store: Path
    """Folder that `scanprior prepare` made."""
    out: Path
    """Run folder to write; the same command again continues an interrupted run."""
    task: Task = field(default_factory=Rotation)
    encoder: str = "small"
    """small, unet, residual, paper, densenet121, swin, or a module of your own."""
    widths: tuple[int, ...] | None = None
    """Channels of each level, in place of the encoder's own."""
    spatial_dims: Literal[2, 3] | None = None
    """2 pretrains on slices of 3D volumes; by default what the store holds."""
    crop: tuple[int, ...] | None = None
    """Voxels an axis of a training crop; by default the largest that the volumes hold, up to 64
    (224 in 2D)."""
    hold_out: bool = True
    """Leave out the source's own test part, the test volumes of the split, if there is one, and
    other scans of their patients. Scans without labels, as the Decathlon's and nnU-Net's imagesTs,
    are no test part: they are pretrained on."""
    split: Path | None = None
    """File of the split whose test volumes are left out, in place of the store's."""
    seed: int = 0
    """Of weights, crops and views."""
    training: Training = field(default_factory=Training)


def pretrain(recipe: Pretrain) -> dict[str, Any]:
    """Run the recipe; leaves ``encoder.safetensors`` in ``recipe.out``, returns the last metrics.

    Raises:
        InputError: before any work, where store, crop, task and encoder do not go together, or
            another process writes ``recipe.out``.
    """
    check_numbers(seed=recipe.seed)
    store = Store(recipe.store)
    dims = recipe.spatial_dims or store.spatial_dims
    volumes = unheld(store, recipe.split) if recipe.hold_out else list(store)
    crop = recipe.crop or fitting_crop(volumes, dims)
    if recipe.crop is None and min(crop) < SMALLEST:
        raise InputError(
            f"{store.folder} has volumes of only {min(crop)} voxels along an axis, too few for a "
            "crop; prepare it with --spacing or --shape, leave those scans out, or give --crop."
        )
    check_crop(crop, dims, store)
    check_padding(crop, store)
    torch.manual_seed(recipe.seed)
    encoder = encoders.build(recipe.encoder, dims, store.channels, recipe.widths)
    learner = Learner(recipe.task, encoder)
    rehearse(learner, torch.zeros(2, store.channels, *crop))

    t = recipe.training
    with alone(recipe.out, together=t.devices * t.nodes > 1):
        begin(recipe.out, recipe)
        write_json(recipe.out / "cases.json", {"train": [volume.id for volume in volumes]})
        dataset = Crops(volumes, crop, seed=recipe.seed, length=t.steps * t.batch_size)
        last = fit(learner, dataset, t, out=recipe.out, seed=recipe.seed)
        about = describe(recipe.encoder, recipe.widths, learner, store) | {
            "task": freeze(recipe.task),
            "crop": crop,
            "steps": t.steps,
            "seed": recipe.seed,
            "facts": recipe.task.facts(dims),
        }
        assert isinstance(encoder, nn.Module)
        save_weights(recipe.out / "encoder.safetensors", encoder, about)
    return {
        "out": str(recipe.out),
        "volumes": len(volumes),
        "crop": list(crop),
        **about["facts"],
        **last,
    }
