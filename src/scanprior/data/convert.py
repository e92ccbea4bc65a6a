"""One case becomes one volume: its arrays, then the record that vouches for them. In a worker."""

from pathlib import Path
from typing import Any

import numpy as np

from scanprior.contracts import InputError
from scanprior.data import records
from scanprior.data.below import base_of
from scanprior.data.checks.look import called_below, look
from scanprior.data.image import Image
from scanprior.data.provenance import provenance
from scanprior.data.records import Plan
from scanprior.data.sources import Case
from scanprior.data.steps import Prepared, apply_steps
from scanprior.data.store import write_array
from scanprior.whole import replacing

_FLOAT16_MAX = 65504
_COARSEST = 0.01
"""Of a channel's range, how far a stored value may be off."""


def convert(plan: Plan, case: Case) -> dict[str, Any] | str:
    """Write the volume of ``case`` and return its record; or why there is none, in a sentence."""
    called = called_below(case, base_of(plan.recipe.source))
    try:
        prepared, record = _read(plan, case, called)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{called} cannot be read ({error.strerror}); restore it or leave it out."
    records.vouch(plan, case, None)
    _write(records.array_path(plan, case, "image"), prepared.image.array.astype(np.float16))
    if prepared.label is not None:
        _write(records.array_path(plan, case, "label"), prepared.label.array[0])
    record["stored"] = records.stored(plan, case, labelled=record["labelled"])
    records.vouch(plan, case, record)
    return record


def _read(plan: Plan, case: Case, called: str) -> tuple[Prepared, dict[str, Any]]:
    """The image after all steps, and its record: of the same files, all the time unchanged."""
    state = _state(plan, case)
    looked = look(case, base_of(plan.recipe.source), plan.said)
    if looked.errors or looked.image is None:
        raise InputError(looked.errors[0].sentence)
    prepared = _stepped(plan, called, looked.image, looked.label)
    record = provenance(case, plan.recipe.source, looked.image, looked) | {
        "labelled": prepared.label is not None,
        "shape": list(prepared.image.array.shape),
        "spacing": list(prepared.image.spacing),
        "geometry": prepared.geometry,
        "statistics": prepared.statistics,
        "state": state,
    }
    if state is None or _state(plan, case) != state:
        raise InputError(f"{called} changed while it was read; run the same command again.")
    return prepared, record


def _state(plan: Plan, case: Case) -> list[Any] | None:
    """What the files are now; None where one is gone, which whoever reads it says better."""
    try:
        return records.state(plan, case)
    except OSError:
        return None


def _stepped(plan: Plan, called: str, image: Image, label: Image | None) -> Prepared:
    try:
        prepared = apply_steps(plan.recipe, image, label, plan.spacing)
    except InputError as error:
        raise InputError(f"{called}: {error}") from error
    top = float(np.abs(prepared.image.array).max())
    if top > _FLOAT16_MAX:
        raise InputError(f"{called} reaches {top:g}, more than float16 holds; change --intensity.")
    if plan.recipe.intensity == "none":
        _check_precision(called, prepared.image.array)
    return prepared


def _check_precision(called: str, array: np.ndarray) -> None:
    """Raise :class:`InputError` where float16, in which it is stored, is too coarse for a channel
    of ``array``, as for values near 0, or with a large number added to all of them."""
    for channel in array:
        low, high = float(channel.min()), float(channel.max())
        off = float(np.abs(channel.astype(np.float16) - channel).max())
        if off > _COARSEST * (high - low) > 0:
            raise InputError(
                f"{called} has values from {low:g} to {high:g}, which float16 holds to {off:.2g} "
                "only; change --intensity."
            )


def _write(path: Path, array: np.ndarray) -> None:
    with replacing(path) as temporary:
        write_array(temporary, array)
