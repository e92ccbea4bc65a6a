"""The held-out test of a cell: its last weights on whole volumes, in the store's grid."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from scanprior.contracts import Learner
from scanprior.data.store import Store, Volume, write_array
from scanprior.downstream.classification import Classification
from scanprior.metrics import REGIONS, case_scores, groups
from scanprior.predict import image_probabilities, probabilities
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.grades import row
from scanprior.study.jobs import Test
from scanprior.whole import replacing

COLUMNS = ["case", "class", "metric", "value"]


def score(recipe: Finetune, test: Test) -> pd.DataFrame:
    """A row per case, class and metric (:data:`COLUMNS`) of the run that ``recipe`` left.

    Segmentation: dice, hd95 (mm) and nsd of every foreground class or region. Classification:
    truth, prediction, and p0, p1, ... of every grade; their class is empty.
    """
    # The best weights were chosen on validation volumes, and a study makes no choice.
    learner, about = load_finetuned(recipe.out, "last")
    if torch.cuda.is_available() and recipe.training.accelerator in ("auto", "gpu", "cuda"):
        learner.cuda()
    crop = tuple(about["crop"])
    store = Store(recipe.store)
    rows: list[dict[str, Any]] = []
    for number, volume in enumerate(store.of(test.cases)):
        image = torch.from_numpy(volume.read()).float()
        if isinstance(learner.task, Classification):
            rows += _graded(learner, volume, image_probabilities(learner, image, crop))
            continue
        found = probabilities(learner, image, crop).argmax(0).numpy().astype(np.uint8)
        label = volume.read_label()
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


def _graded(learner: Learner, volume: Volume, likely: torch.Tensor) -> list[dict[str, Any]]:
    values = row(learner, volume.id, likely, volume.grade)
    names = ("truth", *(name for name in values if name not in ("case", "truth")))
    return [
        {"case": volume.id, "class": "", "metric": name, "value": float(values[name])}
        for name in names
    ]


def _keep(folder: Path, case: str, prediction: np.ndarray) -> None:
    with replacing(folder / f"{case}.b2nd") as temporary:
        write_array(temporary, prediction)
