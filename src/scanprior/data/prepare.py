"""``scanprior prepare``: a source of scans becomes a store, once, in parallel, able to continue."""

import time
from functools import partial
from typing import Any

import numpy as np

from scanprior.alone import alone
from scanprior.console import counted, say
from scanprior.contracts import InputError
from scanprior.data import geometry, records, sources
from scanprior.data.one import prepare_one
from scanprior.data.parallel import each
from scanprior.data.records import Plan
from scanprior.data.sources import Case
from scanprior.data.sources.decathlon import declared
from scanprior.data.steps import Prepare, Prepared, apply_steps, check
from scanprior.data.unnamed import spoken

__all__ = ["Prepare", "Prepared", "apply_steps", "resolve_spacing", "run_prepare"]


SHOWN = 10
"""Rejected images, and warnings, that are told; all are in ``rejected.json``, ``warnings.json``."""


def run_prepare(recipe: Prepare) -> dict[str, Any]:
    """Bring ``recipe.store`` up to date with ``recipe.source``; only what changed is done.

    Every case is looked at as doctor does: what doctor calls an error is rejected, a warning is
    told once and kept. Returns ``volumes``, ``prepared``, ``unchanged``, ``rejected``, ``warned``
    (counts), ``left_out`` (what else lies in the source), ``classes``, ``store`` and ``seconds``.

    Raises :class:`InputError` before work starts for settings that cannot be, or that differ from
    those the store was begun with; where no image could be read; and where another process writes
    the store.
    """
    started = time.perf_counter()
    check(recipe)
    cases, left_out = sources.search(recipe.source, recipe.format, recipe)
    kept = records.kept_recipe(recipe, cases)
    records.check(recipe.store, kept)  # before a lock is put into a folder that is no store
    plan = Plan(recipe, kept, resolve_spacing(recipe, cases), declared(recipe.source))
    with alone(recipe.store):
        result = _brought_up(plan, cases, left_out)
    return result | {"seconds": round(time.perf_counter() - started, 3)}


def _brought_up(plan: Plan, cases: list[Case], left_out: tuple[str, ...]) -> dict[str, Any]:
    records.claim(plan)
    recipe = plan.recipe
    due = [case for case in cases if not records.done(plan, case)]
    work = each(partial(prepare_one, plan), due, recipe.workers)
    answers = counted(work, "preparing", len(due))
    refused = {case: reason for case, reason in answers if reason is not None}
    written = {case: records.record(plan, case) for case in cases if case not in refused}
    strange, warnings = records.compared(written)
    refused |= strange
    rejected = {case: refused[case] for case in cases if case in refused}
    kept = {case: record for case, record in written.items() if case not in rejected}
    records.write_rejected(recipe, rejected)
    records.write_warnings(recipe, warnings)
    if not kept:
        raise InputError(
            f"{spoken(recipe.source, cases)} holds no image that can be used; "
            f"{recipe.store / 'rejected.json'} says why, first: {next(iter(rejected.values()))}"
        )
    fresh = {case.id for case in due}
    news = [finding.sentence for finding in warnings if fresh & set(finding.cases)]
    _tell([f"rejected: {why}" for why in rejected.values()], recipe, "rejected.json")
    _tell([f"warning: {sentence}" for sentence in news], recipe, "warnings.json")
    index = records.index(plan, list(kept.values())) | {"left_out": list(left_out)}
    records.write_json(recipe.store / "index.json", index)
    return {
        "store": str(recipe.store),
        "volumes": len(kept),
        "prepared": len([case for case in due if case not in rejected]),
        "unchanged": len(cases) - len(due),
        "rejected": len(rejected),
        "warned": len(warnings),
        "left_out": list(left_out),
        "classes": index["classes"],
    }


def _tell(sentences: list[str], recipe: Prepare, file: str) -> None:
    for sentence in sentences[:SHOWN]:
        say(sentence)
    if len(sentences) > SHOWN:
        say(f"{len(sentences) - SHOWN} more are in {recipe.store / file}.")


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
        source = spoken(recipe.source, cases)
        raise InputError(f"{source} has no voxel sizes to take the median of; use --shape.")
    return tuple(round(float(size), 6) for size in np.median(found, axis=0))
