"""How long a study will take, by steps that were really taken."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.console import say
from scanprior.fit.log import rows
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.study.jobs import Job, Plan
from scanprior.study.plan import Study
from scanprior.study.work import FAILURES, Status, status

STEPS = 4
"""Measured, the first of which does not count."""


class Cost(NamedTuple):
    """Of jobs of one kind."""

    step: float
    """Seconds a step; of a finished cell, with its share of the validations."""
    case: float
    """Seconds a volume that is validated on; 0 where ``step`` includes it."""
    test: float
    """Seconds of the whole test."""
    source: str
    """measured or done."""


def estimate(study: Study, plan: Plan) -> dict[str, Any]:
    """Print every cell with done or to do, and the minutes of what is left; writes nothing.

    Returns ``cells``, ``done``, ``to_do``, ``pretrainings_to_do``, ``minutes`` (with ``jobs`` at
    once where the executor has them), ``seconds_a_step`` (kind to seconds) and ``unmeasured``
    (kind to the reason why its step cannot be taken; those are left out of the minutes).
    """
    states = {job.folder: status(job) for job in plan.jobs}
    costs, wrong = _costs(plan, states)
    minutes = 0.0
    for position, job in enumerate(plan.jobs, 1):
        now = states[job.folder]
        if now is not None and now.state == "done":
            what = "done"
        elif job.kind in costs:
            assert job.recipe.split is not None
            validated = len(plan.splits[job.recipe.split].validation)
            mine = _minutes(job, costs[job.kind], validated)
            what = f"to do, {mine:.1f} min"
            minutes += mine
        else:
            what = "to do"
        if now is not None and now.state == "failed":
            what += f" (failed before: {now.reason})"
        say(f"[{position}/{len(plan.jobs)}] {job.name}: {what}")
    minutes /= 1 if study.executor == "local" else study.jobs
    for kind, cost in costs.items():
        say(f"{kind}: {cost.step:.3f} s a step ({cost.source})")
    for kind, reason in wrong.items():
        say(f"{kind}: cannot run: {reason}")
    less = ", without what cannot run" if wrong else ""
    say(f"about {minutes:.0f} min in all{less}, if this machine's speed is where it will run")
    todo = [job for job in plan.jobs if (s := states[job.folder]) is None or s.state != "done"]
    cells = sum(job.test is not None for job in todo)
    return {
        "cells": len(plan.cells),
        "done": len(plan.cells) - cells,
        "to_do": cells,
        "pretrainings_to_do": len(todo) - cells,
        "minutes": round(minutes, 2),
        "seconds_a_step": {kind: round(cost.step, 4) for kind, cost in costs.items()},
        "unmeasured": wrong,
    }


def _costs(plan: Plan, states: dict[Path, Status | None]) -> tuple[dict[str, Cost], dict[str, str]]:
    costs: dict[str, Cost] = {}
    wrong: dict[str, str] = {}
    for job in plan.jobs:
        now = states[job.folder]
        if now is not None and now.state == "done" and now.minutes > 0:
            costs[job.kind] = Cost(60 * now.minutes / now.steps, 0.0, 60 * now.test_minutes, "done")
    for job in plan.jobs:
        now = states[job.folder]
        if job.kind in costs or job.kind in wrong or (now is not None and now.state == "done"):
            continue
        try:
            costs[job.kind] = _measured(job, plan)
        except FAILURES as error:
            wrong[job.kind] = str(error)
    return costs, wrong


def _measured(job: Job, plan: Plan) -> Cost:
    """Some steps of the job itself, in a folder that is thrown away."""
    recipe = job.recipe
    training = dataclasses.replace(
        recipe.training, steps=STEPS, warmup=0, log_every=1, save_every=STEPS, tensorboard=False
    )
    assert recipe.split is not None
    whole = plan.splits[recipe.split]
    with tempfile.TemporaryDirectory() as temporary:
        split, out = Path(temporary) / "split.json", Path(temporary) / "run"
        dataclasses.replace(whole, validation=whole.validation[:1]).save(split)
        told: dict[str, Any] = {"split": split, "out": out, "training": training}
        if isinstance(recipe, Pretrain):
            pretrain(dataclasses.replace(recipe, **told))
        else:
            told |= {"start": "scratch", "frozen_steps": 0, "validate_every": STEPS}
            finetune(dataclasses.replace(recipe, **told))
        logged = rows(out)
    times = [row["seconds"] for row in logged if "loss" in row]
    case = max(0.0, logged[-1]["seconds"] - times[-1])
    step = (times[-1] - times[0]) / (STEPS - 1)
    # Scoring a case takes about as long again as predicting it, for the surface distances.
    return Cost(step, case, 2 * case * len(job.test.cases) if job.test else 0.0, "measured")


def _minutes(job: Job, cost: Cost, cases: int) -> float:
    steps = job.recipe.training.steps
    seconds = steps * cost.step + cost.test
    if isinstance(job.recipe, Finetune) and job.recipe.validate_every:
        seconds += -(-steps // job.recipe.validate_every) * cases * cost.case
    return seconds / 60
