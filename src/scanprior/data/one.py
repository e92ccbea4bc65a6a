"""One case becomes one volume: its arrays, then the record that vouches for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.contracts import InputError
from scanprior.data import records
from scanprior.data.checks.findings import plain
from scanprior.data.checks.look import Look, look
from scanprior.data.checks.seen import voxel_hash
from scanprior.data.image import Image
from scanprior.data.pairs import parts
from scanprior.data.records import Plan
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.steps import Prepared, apply_steps
from scanprior.data.store import write_array
from scanprior.data.unnamed import kept_images, kept_label, kept_words
from scanprior.whole import replacing

_FLOAT16_MAX = 65504


def prepare_one(plan: Plan, case: Case) -> str | None:
    """Write one volume: the arrays, then the record that vouches for them. Or say why not."""
    try:
        prepared, record = _read(plan, case)
    except InputError as error:
        return str(error)
    except OSError as error:
        why = error if case.shown is None else error.strerror
        return f"{case.called} cannot be read ({why}); restore it or leave it out."
    records.vouch(plan, case, None)
    _write(records.array_path(plan, case, "image"), prepared.image.array.astype(np.float16))
    if prepared.label is not None:
        _write(records.array_path(plan, case, "label"), prepared.label.array[0])
    stored = records.stored(plan, case, labelled=record["labelled"])
    records.vouch(plan, case, record | {"stored": stored})
    return None


def _read(plan: Plan, case: Case) -> tuple[Prepared, dict[str, Any]]:
    """One image after all steps, and its record: of the same files, all the time unchanged."""
    recipe = plan.recipe
    state = records.state(plan, case)
    base = recipe.source if recipe.source.is_dir() else recipe.source.parent
    looked = look(case, base, plan.said)
    if looked.errors or looked.image is None:
        raise InputError(looked.errors[0].sentence)
    try:
        prepared = apply_steps(recipe, looked.image, looked.label, plan.spacing)
    except InputError as error:
        raise InputError(f"{case.called}: {error}") from error
    top = float(np.abs(prepared.image.array).max())
    if top > _FLOAT16_MAX:
        raise InputError(
            f"{case.called} reaches {top:g}, more than float16 holds; change --intensity."
        )
    names = kept_images(case, recipe.source)
    record = {
        "id": case.id,
        "patient": case.patient,
        "grade": case.grade,
        "labelled": prepared.label is not None,
        "partition": case.partition,
        "shape": list(prepared.image.array.shape),
        "spacing": list(prepared.image.spacing),
        "source": names[0] if len(names) == 1 else names,
        "sha256": case.sha256(looked.image),
        "label_source": kept_label(case, recipe.source),
        "label_sha256": None if case.label is None else file_hash(*parts(case.label)),
        "geometry": prepared.geometry,
        "statistics": prepared.statistics,
        "state": state,
        "looked": _looked(case, looked, looked.image),
    }
    if records.state(plan, case) != state:
        raise InputError(f"{case.called} changed while it was read; run the same command again.")
    return prepared, record


def _looked(case: Case, look: Look, image: Image) -> dict[str, Any]:
    """What is compared with other cases, and what is odd about this one."""
    warnings = [
        plain(replace(f, file=kept_words(case, f.file), sentence=kept_words(case, f.sentence)))
        for f in look.findings
    ]
    return {
        "voxels": voxel_hash(image.array),
        "label": None if look.label is None else voxel_hash(look.label.array),
        "warnings": warnings,
    }


def _write(path: Path, array: np.ndarray) -> None:
    with replacing(path) as temporary:
        write_array(temporary, array)
