"""What every training recipe does before its first step."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scanprior.contracts import InputError, Learner
from scanprior.data.sources import SourceOptions
from scanprior.data.store import Store
from scanprior.fit.schedule import ELSEWHERE
from scanprior.saved import freeze, read_json, thaw, write_json

SMALLEST = 8
"""Voxels an axis, below which a crop shows nothing to learn from."""
MOST_PADDING = 27
"""A crop of more than so many times the largest volume's voxels is a mistake; it fills memory."""
_ELSEWHERE = ELSEWHERE | {"out"}


def begin(out: Path, recipe: Any) -> None:
    """Write the recipe, or refuse a folder that holds another one's run.

    The same run in other words goes on: a path written otherwise, a field that was not there yet
    and has its default, another number of workers or another device.
    """
    path = out / "recipe.json"
    if path.is_file():
        kept = read_json(path)
        try:
            theirs = thaw(type(recipe), kept)
        except InputError as error:
            raise InputError(
                f"{path} is of another kind of run ({error}); choose another --out, or delete "
                "that folder."
            ) from error
        if differ := sorted(changed(recipe, theirs)):
            raise InputError(
                f"{out} holds a run with other settings ({', '.join(differ)}); "
                "choose another --out, or delete that folder."
            )
    write_json(path, recipe)


def check_numbers(**numbers: int) -> None:
    """Raise :class:`InputError` for a seed, or a count of steps, below 0 or beyond 63 bits."""
    for name, number in numbers.items():
        if not 0 <= number < 2**63:
            raise InputError(f"{name} {number} is impossible; it must be 0 or more.")


def describe(
    name: str, widths: tuple[int, ...] | None, learner: Learner, store: Store
) -> dict[str, Any]:
    """What an encoder's file says of itself."""
    encoder = learner.encoder
    # How a new scan is prepared in the same way; not what this user's files are called, and where.
    of_files = {"format", *(field.name for field in dataclasses.fields(SourceOptions))}
    steps = {key: value for key, value in store.header["recipe"].items() if key not in of_files}
    return {
        "encoder": name,
        "widths": widths,
        "spatial_dims": encoder.spatial_dims,
        "in_channels": encoder.in_channels,
        "channels": encoder.channels,
        "strides": encoder.strides,
        "spacing": np.median([v.spacing for v in store], axis=0).tolist(),
        "prepared": steps | {"source": ".", "store": "."},
        "resolved_spacing": store.header["spacing"],
        "data": store.digest,
    }


def check_crop(crop: tuple[int, ...], dims: int, store: Store) -> None:
    """The store has the axes, a crop has a side for each of them, and something to see."""
    if dims > store.spatial_dims:
        raise InputError(
            f"{store.folder} holds {store.spatial_dims}D images, which a {dims}D encoder cannot "
            f"see; use scratch, a start pretrained in {store.spatial_dims}D or another store."
        )
    if len(crop) != dims:
        raise InputError(
            f"a crop of {_times(crop)} does not fit {dims}D training on the volumes of "
            f"{store.folder}; give --crop {dims} numbers."
        )
    if min(crop) < SMALLEST:
        raise InputError(
            f"a crop of {_times(crop)} is too small; give sides of at least {SMALLEST} voxels."
        )


def check_padding(crop: tuple[int, ...], store: Store) -> None:
    """Volumes smaller than the crop are surrounded; refuse one that would hold little else."""
    largest = np.max([volume.shape[1:] for volume in store], axis=0)[-len(crop) :].tolist()
    if math.prod(crop) > MOST_PADDING * math.prod(largest):
        raise InputError(
            f"a crop of {_times(crop)} would be padding for the most part: no volume of "
            f"{store.folder} has more than {_times(largest)} voxels; use --crop with sides near "
            "those."
        )


def _times(sides: Iterable[int]) -> str:
    return "x".join(map(str, sides))


@torch.no_grad()
def rehearse(learner: Learner, batch: Any) -> None:
    """One forward pass on an empty batch, so that what does not fit is said before work starts."""
    learner.eval()
    learner(batch, torch.Generator().manual_seed(0))
    learner.train()


def changed(mine: Any, theirs: Any, name: str = "") -> Iterator[str]:
    """The fields, as ``training.steps``, in which two recipes are not the same run.

    Where a run lies and is computed, and what is seen of it, makes no other run of it.
    """
    if not dataclasses.is_dataclass(mine) or type(mine) is not type(theirs):
        if _said(mine, name) != _said(theirs, name):
            yield name
        return
    for field in dataclasses.fields(mine):
        if field.name not in _ELSEWHERE:
            pair = getattr(mine, field.name), getattr(theirs, field.name)
            yield from changed(*pair, f"{name}.{field.name}" if name else field.name)


def _said(value: Any, name: str) -> Any:
    if isinstance(value, Path) or (isinstance(value, str) and name.endswith("start")):
        return Path(value).resolve()  # `scratch` leads to the same place too
    return freeze(value)
