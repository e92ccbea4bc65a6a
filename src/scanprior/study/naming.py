"""The folder of a job: a readable name, and a hash of everything that decides its result."""

import dataclasses
import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from scanprior import transfer
from scanprior.contracts import UNSAID
from scanprior.data.split import Split
from scanprior.fit import Training
from scanprior.fit.schedule import ELSEWHERE
from scanprior.saved import freeze
from scanprior.study.jobs import Job


def named(job: Job, name: str, room: Path, split: Split, digest: str) -> Job:
    """``job`` in a folder in ``room``. ``digest`` is the store's.

    Fields that have their default value are not part of the hash, so that a new field of a recipe
    leaves what is done as it is; for that, one with ``UNSAID`` counts by that value.
    """
    told = {
        "recipe": _told(job.recipe) | {"store": digest, "out": "", "start": "", "split": ""},
        "train": split.train[: job.labels] if job.test else split.train,
        "validation": split.validation,
        "held": sorted(split.test),
        "test": freeze(job.test) | {"keep": 0} if job.test else None,
        "start": _of_start(job),
    }
    text = json.dumps(freeze(told), sort_keys=True)
    hashed = hashlib.sha256(text.encode()).hexdigest()[:10]
    short = re.sub(r"[^\w.%-]+", "-", name)[:80]
    return replace(job, recipe=replace(job.recipe, out=room / f"{short}-{hashed}"))


def _of_start(job: Job) -> str:
    """The pretraining's folder holds its hash; of another run, the weights' own."""
    if job.after:
        return job.after.name
    return _weights_digest(job.start_folder) if job.start_folder else "scratch"


def _told(value: Any) -> Any:
    """Like ``freeze``, without the fields that have their default (or unsaid) value, and without
    those that say where a training runs and what is seen of it."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return freeze(value)
    told: dict[str, Any] = {"kind": f"{type(value).__module__}.{type(value).__name__}"}
    for part in dataclasses.fields(value):
        if isinstance(value, Training) and part.name in ELSEWHERE:
            continue
        mine = getattr(value, part.name)
        if UNSAID in part.metadata:
            default = part.metadata[UNSAID]
        elif part.default_factory is not dataclasses.MISSING:
            default = part.default_factory()
        else:
            default = part.default
        if mine != default:
            told[part.name] = _told(mine)
    return told


@cache
def _weights_digest(run: Path) -> str:
    with transfer.file_of(run).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
