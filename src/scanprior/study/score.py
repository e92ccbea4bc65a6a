"""The held-out test of a cell: its last weights on whole volumes, in the store's grid."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from scanprior import transfer
from scanprior.contracts import Learner, Task
from scanprior.data.store import Store, Volume, write_array
from scanprior.downstream.classification import Classification
from scanprior.metrics import REGIONS, case_scores, groups
from scanprior.predict import image_probabilities, probabilities
from scanprior.recipes.finetune import Finetune
from scanprior.saved import load_weights, thaw
from scanprior.study.jobs import Test

COLUMNS = ["case", "class", "metric", "value"]


def score(recipe: Finetune, test: Test) -> pd.DataFrame:
    """A row per case, class and metric (:data:`COLUMNS`) of the run that ``recipe`` left.

    Segmentation: dice, hd95 (mm) and nsd of every foreground class or region. Classification:
    truth, prediction, and p0, p1, ... of every grade; their class is empty.
    """
    learner, crop = last(recipe.out, recipe.training.accelerator)
    store = Store(recipe.store)
    rows: list[dict[str, Any]] = []
    for number, volume in enumerate(store.of(test.cases)):
        image = torch.from_numpy(volume.read(_whole(volume))).float()
        if isinstance(learner.task, Classification):
            rows += _graded(learner.task, volume, image_probabilities(learner, image, crop))
            continue
        found = probabilities(learner, image, crop).argmax(0).numpy().astype(np.uint8)
        label = volume.read_label(_whole(volume))
        named = REGIONS.get(test.regions) or groups(range(1, store.classes))
        for name, scores in case_scores(
            found, label, named, volume.spacing, test.tolerance
        ).items():
            rows += [
                {"case": volume.id, "class": name, "metric": metric, "value": value}
                for metric, value in scores._asdict().items()
            ]
        if number < test.keep:
            _keep(recipe.out / "predictions", volume.id, found)
    return pd.DataFrame(rows, columns=COLUMNS)


def last(run: Path, accelerator: str = "cpu") -> tuple[Learner, tuple[int, ...]]:
    """The model with the last weights of a fine-tuning run, and its crop. The best weights were
    chosen on validation volumes, and a study makes no choice."""
    state, about = load_weights(run / "last.safetensors")
    learner = Learner(thaw(Task, about["task"]), transfer.build(about))
    learner.load_state_dict(state)
    if torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda"):
        learner.cuda()
    return learner.eval(), tuple(about["crop"])


def _graded(task: Classification, volume: Volume, found: torch.Tensor) -> list[dict[str, Any]]:
    predicted = int(task.decide(found[None])[0])
    assert volume.grade is not None
    values = {"truth": float(volume.grade), "prediction": float(predicted)}
    values |= {f"p{k}": float(p) for k, p in enumerate(found)}
    return [
        {"case": volume.id, "class": "", "metric": metric, "value": value}
        for metric, value in values.items()
    ]


def _keep(folder: Path, case: str, prediction: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / f"{case}.b2nd"
    path.unlink(missing_ok=True)
    write_array(path, prediction)


def _whole(volume: Volume) -> tuple[slice, ...]:
    return (slice(None),) * volume.spatial_dims
