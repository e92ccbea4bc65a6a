"""``scanprior prepare``: a source of scans becomes a store, once, in parallel, able to continue."""

import time
from functools import partial
from typing import Any

import numpy as np

from scanprior.alone import alone
from scanprior.console import counted, say
from scanprior.contracts import InputError
from scanprior.data import geometry, records, sources
from scanprior.data.parallel import each
from scanprior.data.sources import Case
from scanprior.data.steps import Prepare, Prepared, apply_steps, check

__all__ = ["Prepare", "Prepared", "apply_steps", "resolve_spacing", "run_prepare"]


SHOWN = 10
"""Rejected images whose reasons are told; all are in ``rejected.json``."""


def run_prepare(recipe: Prepare) -> dict[str, Any]:
    """Bring ``recipe.store`` up to date with ``recipe.source``; only what changed is done.

    Returns ``volumes``, ``prepared``, ``unchanged``, ``rejected`` (counts), ``classes``, ``store``
    and ``seconds``. Raises :class:`InputError` before work starts for settings that cannot be, or
    that differ from those the store was begun with; where no image could be read; and where another
    process writes the store.
    """
    started = time.perf_counter()
    check(recipe)
    cases = sources.find(recipe.source, recipe.format, recipe)
    records.check(recipe)  # before a lock is put into a folder that is no store
    with alone(recipe.store):
        result = _brought_up(recipe, cases)
    return result | {"seconds": round(time.perf_counter() - started, 3)}


def _brought_up(recipe: Prepare, cases: list[Case]) -> dict[str, Any]:
    records.claim(recipe)
    spacing = resolve_spacing(recipe, cases)
    due = [case for case in cases if not records.done(recipe, case, spacing)]
    rejected: dict[str, str] = {}
    prepare = partial(records.prepare_one, recipe, spacing=spacing)
    for case, reason in counted(each(prepare, due, recipe.workers), "preparing", len(due)):
        if reason is not None:
            rejected[case.id] = reason
    written = {c.id: records.record(recipe, c) for c in cases if c.id not in rejected}
    rejected |= records.odd_ones(written)
    kept = [record for identity, record in written.items() if identity not in rejected]
    by_id = {case.id: case for case in cases}
    records.write_rejected(recipe, {by_id[i]: reason for i, reason in sorted(rejected.items())})
    if not kept:
        raise InputError(
            f"{recipe.source} holds no image that can be used; "
            f"{recipe.store / 'rejected.json'} says why, first: {next(iter(rejected.values()))}"
        )
    for identity, reason in list(rejected.items())[:SHOWN]:
        say(f"rejected {by_id[identity].called}: {reason}")
    if len(rejected) > SHOWN:
        say(f"{len(rejected) - SHOWN} more are in {recipe.store / 'rejected.json'}.")
    index = records.index(recipe, kept, spacing)
    records.write_json(recipe.store / "index.json", index)
    return {
        "store": str(recipe.store),
        "volumes": len(kept),
        "prepared": len([case for case in due if case.id not in rejected]),
        "unchanged": len(cases) - len(due),
        "rejected": len(rejected),
        "classes": index["classes"],
    }


def resolve_spacing(recipe: Prepare, cases: list[Case]) -> tuple[float, ...] | None:
    """The spacing to resample to, in array order; for ``median``, from the headers alone."""
    if not isinstance(recipe.spacing, str):
        return recipe.spacing
    if recipe.spacing == "keep":
        return None
    found = []
    for case in cases:
        try:
            affine = case.affine()
        except InputError:
            continue  # it is rejected, with its reason, when its turn comes
        if affine is not None:
            found.append(geometry.ras_spacing(affine))
    if not found:
        raise InputError(f"{recipe.source} has no voxel sizes to take the median of; use --shape.")
    return tuple(round(float(size), 6) for size in np.median(found, axis=0))
