"""One job, wherever it runs: train, score the last weights, and say in its folder how it ended."""

import time
import traceback
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from scanprior.alone import lock
from scanprior.contracts import InputError
from scanprior.data.kept import wrong
from scanprior.fit.log import rows
from scanprior.recipes.begin import changed
from scanprior.recipes.finetune import finetune
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.saved import read_json, thaw, write_json
from scanprior.study.jobs import Job
from scanprior.study.score import score
from scanprior.whole import replacing

STATUS = "status.json"
FAILURES = (
    InputError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What ends one job and not the study: one cell's bad luck must not cost a night's other cells.

Those of Python's errors that a job can meet, and so torch's and NumPy's, which are kinds of them
(out of memory on a GPU is a RuntimeError). Neither what stops a process (KeyboardInterrupt,
SystemExit) nor what a library derives from Exception itself: that ends the study."""


class Status(NamedTuple):
    """How a job ended. ``minutes`` of training and ``test_minutes`` count all sittings."""

    state: str
    """done or failed."""
    minutes: float = float("nan")
    test_minutes: float = float("nan")
    steps: int = 0
    reason: str = ""


_KEPT = {
    "state": Literal["done", "failed"],
    "minutes": float | None,
    "test_minutes": float | None,
    "steps": int,
    "reason": object,  # text of any library's, of several lines too
}


def status(job: Job) -> Status | None:
    """How ``job`` ended; None where it has not."""
    path = job.folder / STATUS
    if not path.is_file():
        return None
    try:
        kept = read_json(path)
    except InputError as error:
        return Status("failed", reason=str(error))
    if (said := wrong(_KEPT, kept)) is not None:
        return Status("failed", reason=f"{path} is damaged ({said}); run the same command again.")
    # a number that was not known is null in JSON
    found = Status(**{name: kept[name] for name in _KEPT if kept[name] is not None})
    if found.state == "done" and not _of(job):
        return Status("failed", reason=f"{job.folder} was run with other settings; delete it.")
    return found


def _of(job: Job) -> bool:
    """Whether the run in the job's folder is the job's, wherever store, start and split lie now:
    the folder's name has a hash of what they hold."""
    try:
        theirs = thaw(type(job.recipe), read_json(job.folder / "recipe.json"))
    except InputError:
        return False
    return set(changed(job.recipe, theirs)) <= {"store", "start", "split"}


def attempt(job: Job) -> None:
    """Run ``job``, or leave it as it is where it is done; a failure is written, not raised."""
    job.folder.mkdir(parents=True, exist_ok=True)
    # A job of a study that was killed may still run; what it finishes need not be done again.
    with lock(job.folder):
        now = status(job)
        if now and now.state == "done":
            return
        (job.folder / STATUS).unlink(missing_ok=True)
        try:
            ended = _run(job)
        except FAILURES as error:
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            (job.folder / "error.txt").write_text(traceback.format_exc())
            ended = Status("failed", reason=f"{kind}{error}")
        write_status(job, ended)


def write_status(job: Job, ended: Status) -> None:
    """Leave ``ended`` in the job's folder."""
    write_json(job.folder / STATUS, ended._asdict())


def _run(job: Job) -> Status:
    recipe = job.recipe
    if isinstance(recipe, Pretrain):
        pretrain(recipe)
    else:
        finetune(recipe)
    minutes = rows(job.folder)[-1]["seconds"] / 60
    began = time.monotonic()
    if job.test is not None and not isinstance(recipe, Pretrain):
        write_csv(job.folder / "scores.csv", score(recipe, job.test))
    tested = (time.monotonic() - began) / 60
    return Status("done", round(minutes, 4), round(tested, 4), recipe.training.steps)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write whole or not at all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
