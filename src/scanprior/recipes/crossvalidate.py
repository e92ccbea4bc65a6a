"""Cross-validation: every graded image is predicted by a model that never saw its patient."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from scanprior.alone import alone
from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.metrics.grading import scores
from scanprior.recipes.begin import begin, check_numbers
from scanprior.recipes.finetune import Finetune, carry_out, plan
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.grades import (
    graded,
    print_scores,
    read_table,
    summary,
    table_of,
    write_scores,
    write_table,
)
from scanprior.recipes.supervision import supervision


@dataclass(frozen=True, kw_only=True)
class CrossValidate:
    """Fine-tune a classifier once a fold, and score the predictions for the images held out."""

    run: Finetune
    """What is done in each fold. Its ``out`` is the folder that holds the folds, its ``validation``
    the share of a fold's other images that chooses the weights, its ``split_seed`` that of the
    folds; ``test`` and ``split`` have no part in it."""
    folds: int = 5
    """How many parts the graded images are divided into, by patient, alike in grades."""


def crossvalidate(recipe: CrossValidate) -> dict[str, Any]:
    """Run the recipe; leaves a run folder and a split a fold, ``predictions.csv`` and
    ``metrics.csv`` in the folder. A fold that is done is not done again; the same command goes on.

    Weights are chosen on images of neither the training nor the held-out part. The grades of all
    folds are scored together: kappa is no mean over cases, and a fold may lack a grade.

    Returns ``kappa``, ``accuracy``, ``auc`` (NaN where undefined), ``intervals`` (the same names,
    ``[low, high]`` of 95 %, over cases; they do not hold how results vary with the seed and with
    the fold's network, as those of `scanprior study --folds` do),
    ``cases``, ``folds`` (the kappa of each) and ``out``.

    Raises:
        InputError: before any work, where store, start, crop and encoder do not go together, or
            the folder holds folds of other images or settings, or is being written.
    """
    run, out = recipe.run, recipe.run.out
    if not isinstance(run.task, Classification):
        raise InputError("only classification can be cross-validated; use Classification.")
    if run.split is not None or run.test:
        raise InputError("cross-validation makes its own splits; leave out --split and --test.")
    check_numbers(seed=run.seed, split_seed=run.split_seed)
    store = Store(run.store)
    known = supervision(run.task).known(store)
    splits = Split.folds(known, recipe.folds, run.validation, run.split_seed, through=store)
    folds = [out / f"fold_{i}" for i in range(recipe.folds)]
    recipes = [replace(run, out=fold, split=fold.with_suffix(".json"), test=0.0) for fold in folds]
    due = [i for i, fold in enumerate(folds) if not (fold / "predictions.csv").is_file()]
    for i in due:
        plan(recipes[i], splits[i])  # what cannot be is said before the first fold is trained
    with alone(out, together=run.training.devices * run.training.nodes > 1):
        begin(out, recipe)
        for fold, split in zip(folds, splits, strict=True):
            _keep(split, fold.with_suffix(".json"))
        for i in due:
            say(f"Fold {i + 1} of {recipe.folds}")
            planned = plan(recipes[i])
            carry_out(planned)
            learner, _ = load_finetuned(folds[i])
            held = store.of(splits[i].test)
            write_table(table_of(learner, held, planned.crop), folds[i] / "predictions.csv")
        tables = [read_table(f / "predictions.csv").assign(fold=i) for i, f in enumerate(folds)]
        table = pd.concat(tables).sort_values("case")
        write_table(table, out / "predictions.csv")
        result, found = summary(table, run.seed)
        write_scores(found, out / "metrics.csv")
    print_scores(found, len(table))
    kappas = [scores(graded(part))["kappa"] for part in tables]
    return result | {"folds": kappas, "out": str(out)}


def _keep(split: Split, path: Path) -> None:
    """Write a fold's split, or make sure that it is the one that the folder began with."""
    if not path.is_file():
        split.save(path)
    elif Split.load(path) != split:
        raise InputError(
            f"{path} is of other images or grades than the store holds now; choose another --out, "
            "or delete that folder."
        )
