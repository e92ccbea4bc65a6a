"""``scanprior prepare``: a source of scans becomes a store, once, in parallel, able to continue."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from scanprior.alone import alone
from scanprior.console import counted, say
from scanprior.contracts import InputError
from scanprior.data import geometry, records, sources
from scanprior.data.compared import compared
from scanprior.data.convert import convert
from scanprior.data.parallel import each
from scanprior.data.records import Plan
from scanprior.data.sources import Case
from scanprior.data.sources.decathlon import declared
from scanprior.data.steps import Prepare, Prepared, apply_steps, check
from scanprior.data.store import INDEX, withdraw
from scanprior.data.unnamed import named, spoken, unnamed

__all__ = ["Prepare", "Prepared", "apply_steps", "resolve_spacing", "run_prepare"]


SHOWN = 10
"""Rejected images, and warnings, that are told; all are in ``rejected.json``, ``warnings.json``."""


def run_prepare(recipe: Prepare) -> dict[str, Any]:
    """Bring ``recipe.store`` up to date with ``recipe.source``; only what changed is done.

    Every case is looked at as doctor does: where doctor has an error of the case alone, or of one
    of another kind than most, it is rejected, and nothing of it is left in the store. Warnings, and
    whatever else is odd between cases, are told once and kept. While volumes of the store are
    replaced it has no index. Returns ``volumes``, ``prepared``, ``unchanged``, ``rejected``,
    ``warned``, ``labelled`` (with a label map), ``graded`` (counts), ``left_out`` (what else lies
    in the source), ``classes`` (of the label maps, background too), ``store`` and ``seconds``.

    Raises :class:`InputError` before work starts for settings that cannot be, or that differ from
    those the store was begun with; where no image could be read; and where another process writes
    the store.
    """
    started = time.perf_counter()
    check(recipe)
    found = sources.search(recipe.source, recipe.format, recipe)
    cases = [unnamed(case) for case in found.cases]
    kept = records.kept_recipe(recipe, cases)
    records.check(recipe.store, kept)  # before a lock is put into a folder that is no store
    plan = Plan(recipe, kept, resolve_spacing(recipe, cases), declared(recipe.source))
    with alone(recipe.store):
        result = _brought_up(plan, cases, found.left_out, named(found.cases))
    return result | {"seconds": round(time.perf_counter() - started, 3)}


def _brought_up(
    plan: Plan, cases: list[Case], left_out: tuple[str, ...], named: Callable[[str], str]
) -> dict[str, Any]:
    records.claim(plan)
    recipe = plan.recipe
    found = _known(plan, cases)
    due = [case for case, record in found.items() if record is None]
    withdraw(recipe.store, (case.id for case in due))
    work = each(partial(convert, plan), due, recipe.workers)
    found.update(counted(work, "preparing", len(due)))
    written = {case: record for case, record in found.items() if isinstance(record, dict)}
    strange, warnings = compared(written)
    found |= strange
    rejected = {case: reason for case, reason in found.items() if isinstance(reason, str)}
    kept = {case: record for case, record in written.items() if case not in rejected}
    records.write_rejected(recipe, rejected)
    reasons = [named(reason) for reason in rejected.values()]
    if not kept:
        records.write_warnings(recipe, warnings)
        records.clear(recipe.store, [])
        raise InputError(
            f"{spoken(recipe.source, cases)} holds no image that can be used; "
            f"{recipe.store / 'rejected.json'} says why, first: {reasons[0]}"
        )
    _tell([f"rejected: {why}" for why in reasons], recipe, "rejected.json")
    told = records.warned(recipe.store)
    news = [named(finding.sentence) for finding in warnings if finding.sentence not in told]
    _tell([f"warning: {sentence}" for sentence in news], recipe, "warnings.json")
    records.write_warnings(recipe, warnings)  # once they are told: a run may be killed here
    index = records.index(plan, list(kept.values())) | {"left_out": list(left_out)}
    records.write_json(recipe.store / INDEX, index)
    records.clear(recipe.store, list(kept.values()))  # which the index no longer names
    prepared = sum(case in kept for case in due)
    return {
        "store": str(recipe.store),
        "volumes": len(kept),
        "prepared": prepared,
        "unchanged": len(kept) - prepared,
        "rejected": len(rejected),
        "warned": len(warnings),
        "left_out": list(left_out),
        "labelled": sum(record["labelled"] for record in kept.values()),
        "graded": sum(record["grade"] is not None for record in kept.values()),
        "classes": index["classes"],
    }


def _known(plan: Plan, cases: Iterable[Case]) -> dict[Case, dict[str, Any] | str | None]:
    """The record of each case that was prepared as it is now.

    In threads, for hashing does not hold Python's lock; of most stores all is hashed before a
    process has started.
    """
    with ThreadPoolExecutor(plan.recipe.workers) as pool:
        return dict(zip(cases, pool.map(partial(records.good, plan), cases), strict=True))


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
