"""What a study leaves to look at, which ``scanprior report`` shows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from scanprior.contracts import InputError
from scanprior.data.store import Volume, mapped
from scanprior.pictures import overlay_figure, plain, save, views_figure
from scanprior.recipes.pretrain import Pretrain
from scanprior.recipes.shown import shown
from scanprior.study.jobs import Job, Plan
from scanprior.study.work import STATUS, status

FOLDER = "pictures"


class _Picture(NamedTuple):
    name: str
    draw: Callable[[], Figure]
    jobs: list[Job]
    """Whose results it shows."""


def draw(planned: Plan, out: Path) -> None:
    """Bring ``out/pictures`` up to date with what is done; writes only what is new.

    Of each number of labels the first test case that cells keep predictions of, in the first seed,
    with a row a start; and what each pretext task showed the encoder.
    """
    for picture in (*_cases(planned), *_views(planned)):
        path = out / FOLDER / f"{plain(picture.name)}.png"
        ended = max((job.folder / STATUS).stat().st_mtime_ns for job in picture.jobs)
        if not path.is_file() or path.stat().st_mtime_ns < ended:
            path.parent.mkdir(parents=True, exist_ok=True)
            save(picture.draw(), path)


def _done(job: Job) -> bool:
    now = status(job)
    return now is not None and now.state == "done"


def _cases(planned: Plan) -> Iterator[_Picture]:
    """Of segmentation; predicted grades are no pictures."""
    first = planned.cells[0].seed
    for labels in sorted({job.labels for job in planned.cells}):
        jobs = [job for job in planned.cells if (job.labels, job.seed) == (labels, first)]
        case = jobs[0].test.cases[0] if jobs[0].test else ""
        found = {job.start: job for job in jobs if _prediction(job, case).is_file() and _done(job)}
        if found:
            (volume,) = planned.stores[jobs[0].recipe.store].of([case])
            name = f"{case} {labels} labels seed {first}"
            yield _Picture(name, lambda v=volume, f=found: _overlay(v, f), list(found.values()))


def _overlay(volume: Volume, found: dict[str, Job]) -> Figure:
    return overlay_figure(
        {
            "case": volume.id,
            "image": volume.read()[0],
            "label": volume.read_label(),
            "spacing": volume.spacing,
            "predictions": {
                start: _read(_prediction(job, volume.id)) for start, job in found.items()
            },
        }
    )


def _prediction(job: Job, case: str) -> Path:
    return job.folder / "predictions" / f"{case}.b2nd"


def _read(path: Path) -> np.ndarray:
    try:
        return mapped(path)[:]
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it.") from error


def _views(planned: Plan) -> Iterator[_Picture]:
    told: set[str] = set()
    for job in planned.pretrainings:
        recipe = job.recipe
        if isinstance(recipe, Pretrain) and job.start not in told and _done(job):
            told.add(job.start)
            yield _Picture(
                f"what {job.start} showed", lambda r=recipe: views_figure(shown(r)), [job]
            )
