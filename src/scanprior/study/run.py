"""Run a study to its end, as far as its cells let it."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.alone import alone
from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.fit import engine
from scanprior.recipes.seen import flattered
from scanprior.study import about, executors, pictures
from scanprior.study.checks import check_jobs
from scanprior.study.estimate import estimate
from scanprior.study.jobs import Job, Plan
from scanprior.study.plan import Study
from scanprior.study.planner import plan
from scanprior.study.results import Results
from scanprior.study.work import Status, status, write_status


def run_study(study: Study) -> dict[str, Any]:
    """Run ``study``, or what is left of it.

    Leaves in ``study.out``: results.csv and cells.csv, rewritten after every cell; split.json
    (fold-0.json, ... of folds), study.json; and the run folders under ``pretrainings`` and
    ``cells``; and ``pictures`` of test cases and views.

    A dry run writes nothing and returns what :func:`scanprior.study.estimate.estimate` does.

    Returns ``out``, ``results``, ``costs`` (cells.csv), ``cells``, ``done``, ``failed``,
    ``failures`` (cell to reason) and ``minutes`` of this call.

    Raises:
        InputError: for what can be known before work starts, and where another process runs this
            study. SystemExit(143) after SIGTERM, once what runs is saved.
    """
    planned = plan(study)
    check_jobs(study, planned)
    _check_split(study, planned)
    labels = sorted({job.labels for job in planned.cells})
    if len(labels) < len(study.labels):
        say(f"of the labels {', '.join(map(str, study.labels))} some are one number: {labels}.")
    for start, count in planned.seen.items():
        say(f"{flattered(start, count)}; pretext tasks as starts are pretrained here without them.")
    if study.dry_run:
        return estimate(study, planned)
    with alone(study.out):
        return _run(study, planned)


def _run(study: Study, planned: Plan) -> dict[str, Any]:
    began = time.monotonic()
    _check_split(study, planned)  # again, now that nobody else writes
    for name, parts in planned.parts.items():
        Split(*parts, seed=study.split_seed).save(study.out / name)
    about.write(study, planned)
    (study.out / "splits").mkdir(exist_ok=True)
    for path, split in planned.splits.items():
        split.save(path)
    results = Results(planned, study.out)
    todo = [job for job in planned.jobs if (now := status(job)) is None or now.state != "done"]
    for job in todo:
        (job.folder / "status.json").unlink(missing_ok=True)
    results.write()
    executor = executors.make(study)
    with engine.termination() as asked:
        try:
            _Drive(planned, todo, executor, results).run(asked)
        finally:
            executor.stop()
            about.write(study, planned)  # what has run says its version and device
    pictures.draw(planned, study.out)
    states = {job.name: status(job) for job in planned.cells}
    failures = {n: s.reason for n, s in states.items() if s is not None and s.state == "failed"}
    return {
        "out": str(study.out),
        "results": str(study.out / "results.csv"),
        "costs": str(study.out / "cells.csv"),
        "cells": len(states),
        "done": len(states) - len(failures),
        "failed": len(failures),
        "failures": failures,
        "minutes": round((time.monotonic() - began) / 60, 2),
    }


def _check_split(study: Study, planned: Plan) -> None:
    """One test set (or division into folds) for ever: a folder's results may not mix two."""
    others = list(study.out.glob("fold-*.json")) if not study.folds else []
    if study.folds and (study.out / "split.json").is_file():
        others = [study.out / "split.json"]
    for name, parts in planned.parts.items():
        path = study.out / name
        if path.is_file():
            kept = Split.load(path)
            if (set(kept.test), set(kept.validation)) != (set(parts.test), set(parts.validation)):
                others.append(path)
    if others:
        raise InputError(
            f"{others[0]} holds other test or validation volumes; choose another --out, since "
            "one study has one test set, or one division into folds."
        )


class _Drive:
    """Starts jobs when their pretraining is done and there is room, and tells of each end."""

    def __init__(self, planned: Plan, todo: list[Job], executor: executors.Executor,
                 results: Results):  # fmt: skip
        self.todo, self.executor, self.results = todo, executor, results
        self.total = len(planned.jobs)
        self.position = self.total - len(todo)
        self.pretraining = {job.folder: job for job in planned.pretrainings}
        self.took: dict[bool, list[float]] = {True: [], False: []}
        """Minutes of the jobs that ended in this call: of cells (True) and of pretrainings."""
        self.began: dict[Path, float] = {}

    def run(self, asked: Any) -> None:
        waiting, running = list(self.todo), 0
        while waiting or running:
            for job in list(waiting):
                before = self._before(job)
                if running < self.executor.room and before is not None and before.state == "done":
                    waiting.remove(job)
                    running += 1
                    self.began[job.folder] = time.monotonic()
                    self.executor.start(job)
                elif before is not None and before.state == "failed":
                    waiting.remove(job)
                    write_status(job, Status("failed", reason=f"its pretraining failed: "
                                             f"{before.reason}"))  # fmt: skip
                    self._tell(job, waiting)
            for job, reason in self.executor.ended() if running else []:
                running -= 1
                if asked.is_set() and status(job) is None:
                    continue  # stopped, not failed
                if status(job) is None:
                    write_status(job, Status("failed", reason=reason))
                minutes = (time.monotonic() - self.began.pop(job.folder)) / 60
                self.took[job.test is not None].append(minutes)
                self._tell(job, waiting)
            if asked.is_set():
                raise SystemExit(engine.TERMINATED)

    def _before(self, job: Job) -> Status | None:
        """How the pretraining of ``job`` ended; None while it has not."""
        return status(self.pretraining[job.after]) if job.after else Status("done")

    def _tell(self, job: Job, waiting: list[Job]) -> None:
        """One line for the person, and both tables."""
        self.position += 1
        now = status(job)
        assert now is not None
        if now.state == "failed":
            what = f"FAILED: {now.reason}"
        else:
            what = f"{now.minutes:.1f} min"
            if job.test is not None:
                what += ", {} {:.4f}".format(*self.results.score(job))
        left = self._left(waiting)
        say(f"[{self.position}/{self.total}] {job.name}: {what}"
            + (f"; about {left:.0f} min left" if left else ""))  # fmt: skip
        if job.test is not None:
            self.results.write()

    def _left(self, waiting: list[Job]) -> float:
        """Minutes, by what jobs of the same sort took in this call."""
        known = self.took[True] + self.took[False]
        if not known:
            return 0.0
        minutes = 0.0
        for job in waiting:
            minutes += float(np.mean(self.took[job.test is not None] or known))
        now = time.monotonic()
        for folder in self.began:
            minutes += max(0.0, float(np.mean(known)) - (now - self.began[folder]) / 60)
        return minutes / self.executor.room
