"""Automatic labels: the images of a store again, with tissue classes for a supervised start."""

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.alone import alone, used
from scanprior.console import counted
from scanprior.contracts import InputError
from scanprior.data.intensity import foreground
from scanprior.data.kept import wrong
from scanprior.data.parallel import each
from scanprior.data.records import clear
from scanprior.data.sources.case import file_hash
from scanprior.data.split import unheld
from scanprior.data.store import INDEX, Store, Volume, withdraw, write_array
from scanprior.data.tissue import SMOOTHING, check_settings, tissues
from scanprior.recipes.begin import begin
from scanprior.saved import read_json, write_json
from scanprior.whole import replacing, sweep

_RECORD = {"state": list[int], "stored": str, "label_sha256": str, "classes": list[int]}


@dataclass(frozen=True, kw_only=True)
class Autolabel:
    """Write a store with the same images and automatic tissue classes as its label maps.

    `finetune segmentation --store OUT` on it gives the supervised start of the paper, whose labels
    FSL-FAST made; `finetune --start` takes that run as it takes a pretext run.
    """

    store: Path
    """Folder that `scanprior prepare` made; its own labels are not read."""
    out: Path
    """Folder of the new store; the same command again continues."""
    classes: int = 3
    """Tissue classes beside the background, numbered from 1 by mean intensity."""
    channel: int = 0
    """The channel whose intensities are looked at."""
    smoothing: float = SMOOTHING
    """How much neighbours of the same class count (beta of Zhang et al. 2001); 0: not at all."""
    hold_out: bool = True
    """Leave out the source's own test part, the test volumes of the store's split, if it has one,
    and other scans of their patients."""
    workers: int = os.cpu_count() or 1
    """Processes that work side by side."""


def autolabel(recipe: Autolabel) -> dict[str, Any]:
    """Run the recipe; images are hard links where the file system has them, copies elsewhere.

    Volumes that are done are left as they are, unless their image has changed since. Returns
    ``volumes``, ``labelled``, ``unchanged``, ``linked``, ``copied`` (images brought over now),
    ``rejected`` (id to reason), ``classes`` (background included), ``store`` and ``seconds``.

    Raises:
        InputError: settings that cannot be, an ``out`` that holds something else, or no volume
            that can be labelled.
    """
    began = time.perf_counter()
    store = Store(recipe.store)
    _check(recipe, store)
    with alone(recipe.out):
        result = _brought_up(recipe, store)
    return result | {"seconds": round(time.perf_counter() - began, 3)}


def _brought_up(recipe: Autolabel, store: Store) -> dict[str, Any]:
    begin(recipe.out, recipe)
    for name in ("volumes", "records"):
        (recipe.out / name).mkdir(parents=True, exist_ok=True)
        sweep(recipe.out / name)
    volumes = unheld(store, None) if recipe.hold_out else list(store)
    due = [volume for volume in volumes if not _done(recipe, volume)]
    withdraw(recipe.out, (volume.id for volume in due))
    rejected: dict[str, str] = {}
    ways: list[str] = []
    labelling = each(partial(_label, recipe), due, recipe.workers)
    for volume, (way, reason) in counted(labelling, "labelling", len(due)):
        if reason is None:
            ways.append(way)
        else:
            rejected[volume.id] = reason
    kept = [volume.id for volume in volumes if volume.id not in rejected]
    if not kept:
        clear(recipe.out, [])
        raise InputError(
            f"{recipe.store} holds no volume that can be labelled; the first: "
            f"{next(iter(rejected.values()))}"
        )
    index = _index(recipe, store, kept)
    write_json(recipe.out / INDEX, index)
    clear(recipe.out, index["volumes"])  # of what has left the store, nothing stays here
    return {
        "store": str(recipe.out),
        "volumes": len(kept),
        "labelled": len(ways),
        "unchanged": len(volumes) - len(due),
        "linked": ways.count("linked"),
        "copied": ways.count("copied"),
        "rejected": dict(sorted(rejected.items())),
        "classes": recipe.classes + 1,
    }


def _check(recipe: Autolabel, store: Store) -> None:
    if recipe.workers < 1:
        raise InputError(f"{recipe.workers} workers cannot work; use 1 or more.")
    check_settings(recipe.classes, recipe.smoothing)
    if not 0 <= recipe.channel < store.channels:
        raise InputError(
            f"channel {recipe.channel} is not in {recipe.store}; use 0 to {store.channels - 1}."
        )
    if used(recipe.out) and not (recipe.out / "recipe.json").is_file():
        raise InputError(f"{recipe.out} holds other files; give a new or an empty folder.")


def _state(recipe: Autolabel, volume: Volume) -> list[int]:
    """Of the image when it was labelled: size and time of its file."""
    seen = _image(recipe.store, volume.id).stat()
    return [seen.st_size, seen.st_mtime_ns]


def _done(recipe: Autolabel, volume: Volume) -> bool:
    """Whether it was labelled as it is now; what a damaged record is of is labelled again."""
    try:
        kept = read_json(recipe.out / "records" / f"{volume.id}.json")
    except InputError:
        return False
    return wrong(_RECORD, kept) is None and kept["state"] == _state(recipe, volume)


def _image(store: Path, name: str) -> Path:
    return store / "volumes" / f"{name}.image.b2nd"


def _label(recipe: Autolabel, volume: Volume) -> tuple[str, str | None]:
    """Label one volume and bring its image over: how, and why not (the record comes last)."""
    state = _state(recipe, volume)
    image = volume.read().astype(np.float32)
    try:
        label = tissues(
            image[recipe.channel],
            foreground(image),
            classes=recipe.classes,
            smoothing=recipe.smoothing,
            spacing=volume.spacing,
        )
    except InputError as error:
        return "", f"{volume.id} in {recipe.store}: {error}"
    way = _bring(_image(recipe.store, volume.id), _image(recipe.out, volume.id))
    target = recipe.out / "volumes" / f"{volume.id}.label.b2nd"
    with replacing(target) as path:
        write_array(path, label)
    told = {
        "state": state,
        "stored": file_hash(target),
        "label_sha256": hashlib.sha256(label.tobytes()).hexdigest(),
        "classes": np.unique(label).tolist(),
    }
    write_json(recipe.out / "records" / f"{volume.id}.json", told)
    return way, None


def _bring(source: Path, target: Path) -> str:
    """A store never writes into a file it has, so that one file can serve two stores."""
    with replacing(target) as temporary:
        try:
            os.link(source.resolve(), temporary)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, temporary)
            return "copied"
    return "linked"


def _index(recipe: Autolabel, store: Store, kept: list[str]) -> dict[str, Any]:
    """The store's own index with other labels."""
    volumes = []
    for volume in store.of(kept):
        told = read_json(recipe.out / "records" / f"{volume.id}.json")
        changed = {
            "labelled": True,
            "label_source": "scanprior autolabel",
            "label_sha256": told["label_sha256"],
            "stored": volume.record.get("stored", {}) | {"label": told["stored"]},
            "statistics": volume.record.get("statistics", {}) | {"classes": told["classes"]},
        }
        volumes.append(volume.record | changed)
    settings = {name: getattr(recipe, name) for name in ("classes", "channel", "smoothing")}
    labels = [(v["id"], v["label_sha256"]) for v in volumes]
    described = json.dumps([store.digest, settings, labels])
    return store.header | {
        "classes": recipe.classes + 1,
        "labels": {},
        "autolabel": settings | {"store": str(recipe.store.resolve()), "digest": store.digest},
        "digest": hashlib.sha256(described.encode()).hexdigest(),
        "volumes": volumes,
    }
