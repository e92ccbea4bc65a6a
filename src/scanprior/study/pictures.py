"""What a study leaves to look at, which ``scanprior report`` shows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.store import Volume, mapped
from scanprior.pictures import overlay_figure, plain, save, views_figure
from scanprior.recipes.pretrain import Pretrain
from scanprior.recipes.shown import shown
from scanprior.saved import read_json, write_json
from scanprior.study.jobs import Job, Plan
from scanprior.study.work import status

FOLDER = Path("pictures", "drawn")
"""Where no picture of anybody else's lies."""
_LIST = "drawn.json"
"""Picture to what it shows."""


class _Picture(NamedTuple):
    name: str
    draw: Callable[[], Figure]
    jobs: list[Job]
    """Whose results it shows."""


def draw(planned: Plan, out: Path) -> None:
    """Bring ``out/pictures/drawn`` up to date with what is planned and done; draws only what is
    new, and says what cannot be drawn.

    Of each number of labels the first test case that cells keep predictions of, in the first seed,
    with a row a start; and what each pretext task showed the encoder.
    """
    folder = out / FOLDER
    kept, drawn = _kept(folder / _LIST), dict[str, list[str]]()
    for picture in (*_cases(planned), *_views(planned)):
        path = folder / f"{plain(picture.name)}.png"
        shows = [job.folder.name for job in picture.jobs]  # which has a hash of all they are
        if not path.is_file() or kept.get(path.name) != shows:
            try:
                figure = picture.draw()
            except InputError as error:
                say(f"{path.name} is not drawn: {error}")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            save(figure, path)
        drawn[path.name] = shows
    for path in folder.glob("*.png"):
        if path.name not in drawn:
            path.unlink()
    if drawn:
        write_json(folder / _LIST, drawn)


def _kept(path: Path) -> dict[str, Any]:
    """Nothing where the list is missing or damaged: all is drawn again then."""
    try:
        kept = read_json(path)
    except InputError:
        return {}
    return kept if isinstance(kept, dict) else {}


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
