"""study.json: what a study was told, and what that comes to, for whoever has only its tables."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.data.store import Store
from scanprior.nn import encoders
from scanprior.saved import read_json, write_json
from scanprior.study.jobs import Job, Plan
from scanprior.study.plan import Study

FILE = "study.json"


def write(study: Study, plan: Plan) -> None:
    """Write ``study`` (the recipe) and ``ran`` to study.json.

    ``ran`` has ``scanprior`` (versions) and ``devices`` of the jobs that have begun, ``encoder``,
    ``task``, ``labels``, ``seeds``, ``folds``, ``validation`` and ``test`` (cases, a number a
    fold), ``stores``, ``starts`` (a row a start), and ``classes`` (label value to name).
    """
    folders = dict.fromkeys(job.recipe.store for job in (*plan.cells, *plan.pretrainings))
    stores = {folder: Store(folder) for folder in folders}
    mine = stores[study.store.resolve()]
    environments = [_kept(job.folder / "environment.json") for job in plan.jobs]
    dims = sorted({int(job.recipe.spatial_dims or mine.spatial_dims) for job in plan.cells})
    ran = {
        "scanprior": sorted({e["packages"]["scanprior"] for e in environments if e}),
        "devices": sorted({e["device"] for e in environments if e}),
        "encoder": {
            "name": study.encoder,
            "channels": {
                f"{d}D": encoders.build(study.encoder, d, mine.channels, study.widths).channels
                for d in dims
            },
        },
        "task": type(study.task).__module__.rpartition(".")[2],
        "labels": sorted({job.labels for job in plan.cells}),
        "seeds": study.seeds,
        "folds": study.folds,
        "pretrain_each_seed": study.pretrain_each_seed,
        "validation": [len(parts.validation) for parts in plan.parts.values()],
        "test": [len(parts.test) for parts in plan.parts.values()],
        "stores": [_store(store) for store in stores.values()],
        "classes": label_names(mine),
        "starts": _starts(plan),
    }
    write_json(study.out / FILE, {"study": study, "ran": ran})


def label_names(store: Store) -> dict[str, str]:
    """Label value to name, background left out, as the ``dataset.json`` of the store's source has
    them; none where there is no such file.

    The Decathlon writes ``{"1": "liver"}``, nnU-Net ``{"liver": 1}``.
    """
    source = store.header["recipe"].get("source")
    if not source or "autolabel" in store.header:  # whose classes are tissues
        return {}
    path = Path(source) / "dataset.json"
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text())["labels"].items()
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}  # names are a help, and the store does not need them
    pairs = [(a, b) if str(a).isdecimal() else (b, a) for a, b in told]
    return {str(value): str(name) for value, name in pairs if str(value).isdecimal() and int(value)}


def _store(store: Store) -> dict[str, Any]:
    first: dict[str, Any] = store[0].record.get("geometry", {})
    return {
        "name": store.folder.name,
        "source": Path(store.header["recipe"].get("source", "")).name,
        "volumes": len(store),
        "channels": store.channels,
        "spacing": np.median([volume.spacing for volume in store], axis=0).tolist(),
        "unit": "pixels" if first.get("affine_before", "") is None else "mm",
        "data": store.digest,
    }


def _starts(plan: Plan) -> list[dict[str, Any]]:
    """How each start was pretrained and fine-tuned: alike in all of its cells."""
    before = {job.folder: job for job in plan.pretrainings}
    cells: dict[str, Job] = {}
    for job in plan.cells:
        cells.setdefault(job.start, job)
    found = []
    for name, job in cells.items():
        row: dict[str, Any] = {"start": name, "spatial_dims": job.recipe.spatial_dims}
        told: dict[str, Any] | None = None
        if job.after in before:
            recipe = before[job.after].recipe
            told = {"training": vars(recipe.training), "crop": recipe.crop}
            row["pretraining_store"] = recipe.store.name
        elif job.start_folder:
            told = _kept(job.start_folder / "recipe.json")
        mine = job.recipe
        row |= _numbers("pretraining", told["training"], told["crop"]) if told else {}
        row |= _numbers("finetuning", vars(mine.training), mine.crop)
        found.append(row)
    return found


def _numbers(
    name: str, training: dict[str, Any], crop: Sequence[int] | None
) -> dict[str, int | float | str]:
    numbers = {f"{name}_{key}": training[key] for key in ("steps", "batch_size", "lr")}
    return numbers | ({f"{name}_crop": "x".join(map(str, crop))} if crop else {})


def _kept(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
