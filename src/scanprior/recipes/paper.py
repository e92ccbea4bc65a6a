"""The paper's settings (Taleb et al. 2020, appendix), for GPUs: of a pretraining, and of studies.

    scanprior prepare SCANS STORE --crop-foreground --shape 128 128 128 --intensity unit
    scanprior pretrain jigsaw --paper 3 --store STORE --out RUN

In 2D the shape is 224 224. What the paper does not give (steps, batch size, CPC's patch) is ours.
"""

import json
from pathlib import Path
from typing import Any

from scanprior import pretext
from scanprior.contracts import InputError
from scanprior.fit import Training
from scanprior.recipes.pretrain import Pretrain

GRID: dict[str, Any] = {"grid": 3, "jitter": 3, "embedding": 64}
TASKS: dict[str, dict[str, Any]] = {
    "cpc": {"patch": 32, "overlap": 0.5, "code": 1024},
    "rpl": GRID,
    "jigsaw": GRID | {"permutations": 1000},
    "rotation": {"single_axis": True},
    "exemplar": {
        "objective": "triplet",
        "margin": 1.0,
        "code": 1024,
        "rotate": 0.5,
        "intensity": 0.5,
        "zoom": 0.2,
    },
}
STARTS = (*TASKS, *(f"{task}-2d" for task in TASKS))
"""Of a study in 3D: the five tasks, in 3D and on slices."""
CROP = {3: (128, 128, 128), 2: (224, 224)}
ENCODER = {3: "paper", 2: "densenet121"}
LEARNING_RATE = {3: 1e-3, 2: 5e-4}
FINETUNING_RATE = {3: 1e-5, 2: 5e-5}
"""Of segmentation in 3D and of classification in 2D."""


def adam(lr: float, *, steps: int, batch_size: int) -> Training:
    """The paper's optimiser: Adam, its rate constant. Steps and batch size are not the paper's."""
    return Training(
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        optimizer="adam",
        weight_decay=0.0,
        schedule="constant",
    )


def overrides(*starts: str) -> tuple[str, ...]:
    """What a study is told (``Study.overrides``) so that these starts, as ``cpc`` or ``cpc-2d``,
    have the paper's settings of their task.

    Raises:
        InputError: a start's task is not one of the paper's five.
    """
    return tuple(
        f"{start}.{field}={json.dumps(value)}"
        for start in starts
        for field, value in _settings(start.removesuffix("-2d")).items()
    )


def paper(task: str, spatial_dims: int, *, store: Path, out: Path) -> Pretrain:
    """Pretraining as in the paper, in 2D or 3D; ``dataclasses.replace`` changes it.

    Raises:
        InputError: the task is not one of the paper's five, or there is no such dimension.
    """
    settings = _settings(task)
    if spatial_dims not in CROP:
        raise InputError(f"the paper has no settings in {spatial_dims}D; use 2 or 3.")
    return Pretrain(
        store=store,
        out=out,
        task=pretext.find(task)(**settings),
        encoder=ENCODER[spatial_dims],
        spatial_dims=2 if spatial_dims == 2 else 3,
        crop=CROP[spatial_dims],
        training=adam(LEARNING_RATE[spatial_dims], steps=100_000, batch_size=8),
    )


def _settings(task: str) -> dict[str, Any]:
    if task not in TASKS:
        raise InputError(f"{task!r} is not in the paper; use one of {', '.join(TASKS)}.")
    return TASKS[task]
