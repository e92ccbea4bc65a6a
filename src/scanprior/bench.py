"""Speed, as medians and ratios of things measured side by side in one process."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import torch
from lightning_fabric import Fabric
from rich.table import Table
from scipy import ndimage

from scanprior import pretext
from scanprior.console import console
from scanprior.contracts import Learner
from scanprior.data.crops import Crops, place
from scanprior.data.files import read_image
from scanprior.data.store import Volume, write_array
from scanprior.fit import Training, engine, environment, thin
from scanprior.nn import encoders
from scanprior.saved import freeze

CPU = torch.device("cpu")
LARGE = (155, 240, 240)
"""A BraTS volume, (superior, anterior, right)."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure this machine."""

    what: Literal["store", "views", "step"] = "step"
    """store: a random crop from a store against slicing .nii.gz. views: loading and views of every
    task. step: these against forward and backward."""
    scan: Path | None = None
    """For store: a .nii.gz to measure on; by default a smooth random one of 240x240x155."""
    size: int = 64
    """Side of the crop."""
    spatial_dims: Literal[2, 3] = 3
    """2D or 3D."""
    batch_size: int = 2
    """Crops in a step."""
    encoder: str = "unet"
    """Of the step."""
    accelerator: str = "auto"
    """Where views and step are computed: auto, cpu, cuda or mps."""
    repeats: int = 5
    """Measurements whose median is taken."""


def bench(recipe: Bench) -> dict[str, Any]:
    """Measure; prints a table on stderr and returns medians (ms), ratios and the machine."""
    machine: dict[str, Any] = {
        "processor": environment.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as folder:
        if recipe.what == "store":
            rows = [_store(recipe, Path(folder))]
        else:
            fabric = engine.start(Training(accelerator=recipe.accelerator))
            machine["device"] = environment.device_name(fabric.device)
            machine["precision"] = fabric._precision.precision
            rows = [_task(recipe, name, Path(folder), fabric) for name in pretext.names()]
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    console().print(table)
    return {"recipe": freeze(recipe), "rows": rows, "machine": machine}


def _median_ms(work: Callable[[int], Any], repeats: int, device: torch.device = CPU) -> float:
    times = []
    for i in range(repeats + 1):  # the first warms up
        began = time.perf_counter()
        work(i)
        if device.type != "cpu":  # which was only told what to do, and may still be at it
            torch.accelerator.synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[1:])


def _store(recipe: Bench, folder: Path) -> dict[str, Any]:
    if recipe.scan is None:
        coarse = np.random.default_rng(0).normal(size=(11, 16, 16))
        smooth = ndimage.zoom(coarse, np.divide(LARGE, coarse.shape), order=1)
        array = np.asarray(smooth, np.float32)
        path = folder / "scan.nii.gz"
        nib.save(nib.Nifti1Image(array.T, np.eye(4)), path)
    else:
        path = recipe.scan
        array = read_image([path]).array[0]
    volume = _volume(folder, "scan", array[None])
    draw = np.random.default_rng(1)
    size = (recipe.size,) * 3
    boxes = [place(array.shape, size, draw)[0] for _ in range(20 * recipe.repeats + 1)]
    ours = _median_ms(lambda i: volume.read(boxes[i]), 20 * recipe.repeats)
    theirs = _median_ms(
        lambda i: np.asarray(nib.load(path).dataobj[tuple(reversed(boxes[i]))]),  # pyright: ignore[reportAttributeAccessIssue]
        recipe.repeats,
    )
    return {
        "crop": f"{recipe.size}^3 of {'x'.join(map(str, reversed(array.shape)))}",
        "store_ms": round(ours, 3),
        "nii_gz_ms": round(theirs, 1),
        "ratio": round(theirs / ours, 1),
    }


def _task(recipe: Bench, name: str, folder: Path, fabric: Fabric) -> dict[str, Any]:
    torch.manual_seed(0)
    dims, b, device = recipe.spatial_dims, recipe.batch_size, fabric.device
    side = recipe.size + 16
    draw = np.random.default_rng(0)
    shape = (1, *(side,) * dims)
    volumes = [_volume(folder, f"v{i}", draw.normal(size=shape)) for i in range(4)]
    crops = Crops(volumes, (recipe.size,) * dims, seed=0, length=1_000_000)

    def load(i: int) -> torch.Tensor:
        batch = [crops[i * b + k] for k in range(b)]
        return torch.stack([crop for crop in batch if isinstance(crop, torch.Tensor)]).to(device)

    learner = Learner(pretext.find(name)(), encoders.build(recipe.encoder, dims, 1)).to(device)
    batch, rng = load(0), torch.Generator(device).manual_seed(0)
    task = learner.task
    views = task.views(batch, rng)
    optimizer = torch.optim.AdamW(learner.parameters())

    def step(_: int) -> None:
        with thin.guarded(learner), fabric.autocast():
            loss = task.loss(learner.encoder, learner.head, views).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    row: dict[str, Any] = {"task": f"{name} {dims}D"}
    loading = _median_ms(load, 5 * recipe.repeats, device)
    making = _median_ms(lambda _: task.views(batch, rng), 5 * recipe.repeats, device)
    row |= {"loading_ms": round(loading, 2), "views_ms": round(making, 2)}
    if recipe.what == "step":
        training = _median_ms(step, recipe.repeats, device)
        row |= {"forward_backward_ms": round(training, 1)}
        row |= {"share": f"{(loading + making) / training:.1%}"}
    return row


def _volume(folder: Path, name: str, array: np.ndarray) -> Volume:
    (folder / "volumes").mkdir(exist_ok=True)
    write_array(folder / "volumes" / f"{name}.image.b2nd", array.astype(np.float16))
    return Volume(name, folder, {"shape": array.shape, "labelled": False})
