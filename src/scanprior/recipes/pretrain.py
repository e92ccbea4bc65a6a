"""Pretraining: one pretext task on the images of a store, no label is read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from scanprior.contracts import InputError, Learner, Task
from scanprior.data.crops import Crops, fitting_crop
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume
from scanprior.fit import Training, fit
from scanprior.nn import encoders
from scanprior.pretext.rotation import Rotation
from scanprior.saved import freeze, read_json, save_weights, write_json

SMALLEST = 8
"""Voxels an axis, below which a crop shows nothing to learn from."""


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
    """Leave out the test volumes of the split, if there is one."""
    split: Path | None = None
    """File of the split whose test volumes are left out, in place of the store's."""
    seed: int = 0
    """Of weights, crops and views."""
    training: Training = field(default_factory=Training)


def pretrain(recipe: Pretrain) -> dict[str, Any]:
    """Run the recipe; leaves ``encoder.safetensors`` in ``recipe.out``, returns the last metrics.

    Raises:
        InputError: before any work, where store, crop, task and encoder do not go together.
    """
    store = Store(recipe.store)
    dims = recipe.spatial_dims or store.spatial_dims
    volumes = _unheld(store, recipe.split) if recipe.hold_out else list(store)
    crop = recipe.crop or fitting_crop(volumes, dims, limit={2: 224, 3: 64}[dims])
    check_crop(crop, dims, store)
    torch.manual_seed(recipe.seed)
    encoder = encoders.build(recipe.encoder, dims, store.channels, recipe.widths)
    learner = Learner(recipe.task, encoder)
    rehearse(learner, torch.zeros(2, store.channels, *crop))

    begin(recipe.out, recipe)
    t = recipe.training
    dataset = Crops(volumes, crop, seed=recipe.seed, length=t.steps * t.batch_size)
    last = fit(learner, dataset, t, out=recipe.out, seed=recipe.seed)
    about = describe(recipe.encoder, recipe.widths, learner, store) | {
        "task": freeze(recipe.task),
        "crop": crop,
        "steps": t.steps,
        "seed": recipe.seed,
    }
    assert isinstance(encoder, nn.Module)
    save_weights(recipe.out / "encoder.safetensors", encoder, about)
    return {"out": str(recipe.out), "volumes": len(volumes), "crop": list(crop), **last}


def begin(out: Path, recipe: Any) -> None:
    """Write the recipe, or refuse a folder that holds another one's run."""
    path = out / "recipe.json"
    mine = freeze(recipe)
    if path.is_file():
        theirs = read_json(path)
        changed = sorted(k for k in mine if mine[k] != theirs.get(k))
        if changed:
            raise InputError(
                f"{out} holds a run with other settings ({', '.join(changed)}); "
                "choose another --out, or delete that folder."
            )
    write_json(path, recipe)


def describe(
    name: str, widths: tuple[int, ...] | None, learner: Learner, store: Store
) -> dict[str, Any]:
    """What an encoder's file says of itself."""
    encoder = learner.encoder
    return {
        "encoder": name,
        "widths": widths,
        "spatial_dims": encoder.spatial_dims,
        "in_channels": encoder.in_channels,
        "channels": encoder.channels,
        "strides": encoder.strides,
        "spacing": np.median([v.spacing for v in store], axis=0).tolist(),
        # how a new scan is prepared in the same way; not where this user keeps the scans
        "prepared": store.header["recipe"] | {"source": ".", "store": "."},
        "resolved_spacing": store.header["spacing"],
        "data": store.digest,
    }


def check_crop(crop: tuple[int, ...], dims: int, store: Store) -> None:
    """A crop has a side for every axis, and something to see; a volume has at least its axes."""
    if len(crop) != dims or dims > store.spatial_dims:
        raise InputError(
            f"a crop of {len(crop)} sides does not fit {dims}D training on the "
            f"{store.spatial_dims}D volumes of {store.folder}; give --crop {dims} numbers."
        )
    if min(crop) < SMALLEST:
        raise InputError(
            f"a crop of {crop} is too small; give sides of at least {SMALLEST} voxels."
        )


@torch.no_grad()
def rehearse(learner: Learner, batch: Any) -> None:
    """One forward pass on an empty batch, so that what does not fit is said before work starts."""
    learner.eval()
    learner(batch, torch.Generator().manual_seed(0))
    learner.train()


def _unheld(store: Store, split: Path | None) -> list[Volume]:
    path = split or store.folder / "split.json"
    held = set(Split.load(path).test) if split or path.is_file() else set()
    return [volume for volume in store if volume.id not in held]
