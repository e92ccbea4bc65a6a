"""study.json: what a study was told, and what that comes to, for whoever has only its tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.kept import wrong
from scanprior.data.label_names import label_names
from scanprior.data.store import Store
from scanprior.saved import freeze, read_json, seen_from, write_json
from scanprior.study.jobs import Job, Plan
from scanprior.study.plan import Study
from scanprior.study.starts import run_of

FILE = "study.json"
_ENVIRONMENT = {"packages": {"scanprior": str}, "device": str}
_LAST = {"spatial_dims": int, "channels": list[int]}
_RECIPE = {
    "training": {"steps": int, "batch_size": int, "lr": float},
    "crop": list[int] | None,
}


def write(study: Study, plan: Plan) -> None:
    """Write ``study`` (the recipe) and ``ran`` to study.json.

    ``ran`` has ``scanprior`` (versions) and ``devices`` of the jobs that have begun, ``encoder``
    (its name, and the channels of its levels in the cells that were trained), ``task``,
    ``labels``, ``seeds``, ``folds``, ``pretrainings`` (start to what it has one for),
    ``validation`` and ``test`` (cases, a number a fold), ``stores``, ``starts`` (a row a
    start), and ``classes`` (label value to name).
    """
    folders = dict.fromkeys(job.recipe.store for job in (*plan.cells, *plan.pretrainings))
    environments = [_kept(job.folder / "environment.json", _ENVIRONMENT) for job in plan.jobs]
    saved = [_kept(job.folder / "last.json", _LAST) for job in plan.cells]
    levels = {f"{about['spatial_dims']}D": about["channels"] for about in saved if about}
    ran = {
        "scanprior": sorted({e["packages"]["scanprior"] for e in environments if e}),
        "devices": sorted({e["device"] for e in environments if e}),
        "encoder": {"name": study.encoder, "channels": dict(sorted(levels.items()))},
        "task": type(study.task).__module__.rpartition(".")[2],
        "labels": sorted({job.labels for job in plan.cells}),
        "seeds": study.seeds,
        "folds": study.folds,
        "pretrainings": {job.start: _one_for(study, job) for job in plan.pretrainings},
        "validation": [len(parts.validation) for parts in plan.parts.values()],
        "test": [len(parts.test) for parts in plan.parts.values()],
        "stores": [_store(plan.stores[folder]) for folder in folders],
        "classes": label_names(plan.stores[study.store.resolve()]),
        "starts": _starts(plan),
    }
    write_json(study.out / FILE, {"study": _told(study), "ran": ran})


def _told(study: Study) -> dict[str, Any]:
    """The recipe, with paths as they are reached from the study's folder."""
    told: dict[str, Any] = freeze(study)
    for name, value in vars(study).items():
        if isinstance(value, Path):
            told[name] = seen_from(study.out, value)
    runs = [(text, run_of(text)) for text in study.starts]
    told["starts"] = [
        f"{run[0]}run:{seen_from(study.out, run[1])}" if run else text for text, run in runs
    ]
    return told


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


def _one_for(study: Study, pretraining: Job) -> str:
    if study.folds:
        return "all folds" if pretraining.without is None else "each fold"
    return "each seed" if study.pretrain_each_seed else "all seeds"


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
            told = _kept(job.start_folder / "recipe.json", _RECIPE)
            row["seen"] = plan.seen.get(name, 0)
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


def _kept(path: Path, kind: dict[str, Any]) -> dict[str, Any]:
    """The file's content; empty where there is none. Raises :class:`InputError` for another."""
    if not path.is_file():
        return {}
    kept = read_json(path)
    if (said := wrong(kind, kept)) is not None:
        raise InputError(f"{path} is damaged ({said}); restore it or run again.")
    return kept
