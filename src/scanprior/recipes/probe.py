"""Probes of a frozen encoder: k nearest neighbours and logistic regression on graded images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from rich import box
from rich.table import Table
from torch import Tensor, nn

from scanprior import transfer
from scanprior.console import console, counted, say
from scanprior.contracts import Encoder, InputError
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume
from scanprior.fit import Training, engine
from scanprior.metrics.grading import METRICS, Graded, estimates
from scanprior.nn import encoders, probes
from scanprior.recipes.begin import check_numbers
from scanprior.recipes.divide import divide
from scanprior.recipes.grades import write_table
from scanprior.recipes.seen import flattered, seen
from scanprior.transfer import Channels

NEIGHBOURS = (1, 3, 5, 10, 20)
L2 = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Tried on the validation part."""
_PROBES = ("knn", "linear")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well grades can be read off a frozen encoder's embeddings; it is not trained.

    For label maps, `finetune segmentation --frozen` asks the same: a decoder on frozen features.
    """

    run: str
    """scratch (random weights, what pretraining must beat), or the folder of any run."""
    store: Path
    """Folder that `scanprior prepare` made, with grades."""
    out: Path
    """CSV to write: a row a scored image."""
    folds: int | None = None
    """Cross-validation in so many parts; by default the test part of the store's split or source is
    scored, and where there is none, 5."""
    levels: Literal["all", "coarsest"] = "all"
    """Of the encoder, whose mean and deviation over space are the embedding."""
    neighbours: int | None = None
    """How many vote; by default chosen on the validation part."""
    l2: float | None = None
    """Strength of the regression's penalty; by default chosen on the validation part."""
    channels: Channels = "repeat"
    """Where the run had another number of channels than the store; see `scanprior transfer`."""
    encoder: str = "small"
    """With scratch: which; a run has its own."""
    widths: tuple[int, ...] | None = None
    """With scratch: channels of each level, in place of the encoder's own."""
    spatial_dims: Literal[2, 3] | None = None
    """With scratch: by default the store's; 2 looks at slices."""
    accelerator: str = "auto"
    """Where the encoder runs: auto, cpu, cuda or mps."""
    seed: int = 0
    """Of folds, bootstrap, and scratch's weights."""


def probe(recipe: Probe) -> dict[str, Any]:
    """Run the recipe; leaves the CSV (case, fold, truth, knn, linear, p0, p1, ...: those of the
    linear probe) and prints a table on stderr.

    Returns ``knn`` and ``linear`` (kappa, accuracy and auc each), ``intervals`` (the same, ``[low,
    high]`` of 95 %), ``majority`` (accuracy of always saying the training part's commonest grade),
    ``cases``, ``seen`` (how many of them the run was trained on, which is said too), ``features``,
    ``chosen`` (neighbours and l2 of each fold) and ``out``.

    Raises:
        InputError: a store without grades, a start that does not fit, settings that cannot be.
    """
    _check(recipe)
    store = Store(recipe.store)
    graded = {volume.id: volume for volume in store if volume.grade is not None}
    if not graded:
        raise InputError(
            f"{recipe.store} holds no grades; for label maps use "
            "scanprior finetune segmentation --frozen."
        )
    splits = _splits(recipe, store, list(graded.values()))
    encoder = _encoder(recipe, store)
    had = _seen(recipe, store, {i for split in splits for i in split.test if i in graded})
    device = engine.start(Training(accelerator=recipe.accelerator, precision="32")).device
    assert isinstance(encoder, nn.Module)
    encoder.to(device).eval()
    needed = {i for s in splits for i in (*s.train, *s.validation, *s.test)}
    vectors: dict[str, Tensor] = {}
    due = [(name, graded[name]) for name in sorted(needed & graded.keys())]
    for name, volume in counted(due, "embedding"):
        image = torch.from_numpy(volume.read().astype(np.float32)).to(device)
        vectors[name] = probes.moments(encoder, image, recipe.levels)
    classes = 1 + max(int(volume.grade or 0) for volume in graded.values())
    tables, chosen = [], []
    for fold, split in enumerate(splits):
        table, told = _fold(recipe, split, graded, vectors, classes)
        tables.append(table.assign(fold=fold))
        chosen.append(told)
    table = pd.concat(tables, ignore_index=True)
    shown = ["case", "fold", "truth", *_PROBES, *(f"p{k}" for k in range(classes))]
    write_table(table.loc[:, shown], recipe.out)
    result = _summary(table, classes, recipe.seed) | {
        "cases": len(table),
        "seen": had,
        "features": len(next(iter(vectors.values()))),
        "chosen": chosen,
        "out": str(recipe.out),
    }
    _print(result)
    return result


def _check(recipe: Probe) -> None:
    check_numbers(seed=recipe.seed)
    if recipe.out.is_dir():
        raise InputError(f"{recipe.out} is a folder; name a CSV file to write.")
    if recipe.neighbours is not None and recipe.neighbours < 1:
        raise InputError(f"{recipe.neighbours} neighbours cannot vote; use 1 or more.")
    if recipe.l2 is not None and not 0 <= recipe.l2 < np.inf:
        raise InputError(f"l2 {recipe.l2} is impossible; use 0 or more.")


def _splits(recipe: Probe, store: Store, graded: list[Volume]) -> list[Split]:
    if recipe.folds is None:
        split = divide(store, graded, seed=recipe.seed)
        if split.test:
            return [split]
    folds = 5 if recipe.folds is None else recipe.folds
    return Split.folds(graded, folds, seed=recipe.seed, through=store)


def _seen(recipe: Probe, store: Store, tested: set[str]) -> int:
    """How many of the images to score the run was trained on."""
    had = 0 if recipe.run == "scratch" else len(seen(Path(recipe.run), store, tested))
    if had:
        say(f"{flattered(recipe.run, had)}.")
    return had


def _encoder(recipe: Probe, store: Store) -> Encoder:
    torch.manual_seed(recipe.seed)
    if recipe.run == "scratch":
        dims = recipe.spatial_dims or store.spatial_dims
        if dims > store.spatial_dims:
            raise InputError(f"{recipe.store} holds 2D images; leave out --spatial-dims {dims}.")
        return encoders.build(recipe.encoder, dims, store.channels, recipe.widths)
    about = transfer.about_start(Path(recipe.run))
    if about["spatial_dims"] > store.spatial_dims:
        raise InputError(
            f"{recipe.run} holds a {about['spatial_dims']}D encoder and {recipe.store} "
            f"{store.spatial_dims}D images; give a 2D run."
        )
    encoder = transfer.build(about | {"in_channels": store.channels})
    transfer.load_start(Path(recipe.run), encoder, channels=recipe.channels)
    return encoder


def _fold(
    recipe: Probe,
    split: Split,
    graded: dict[str, Volume],
    vectors: dict[str, Tensor],
    classes: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Scored images of one split; numbers chosen on its validation part, then fitted with it."""
    train, validation, test = (
        [i for i in part if i in graded] for part in (split.train, split.validation, split.test)
    )
    if not train or not test:
        raise InputError(
            f"the split of {recipe.store} leaves no graded image to fit or to score; use --folds 5."
        )

    def grades(ids: list[str]) -> Tensor:
        return torch.tensor([graded[i].grade for i in ids])

    def matrix(ids: list[str]) -> Tensor:
        return torch.stack([vectors[i] for i in ids])

    k, l2 = recipe.neighbours or 5, 0.1 if recipe.l2 is None else recipe.l2
    if validation:
        a, b = probes.standardised(matrix(train), matrix(validation))
        x, y, truth = a, grades(train), grades(validation)
        if recipe.neighbours is None:
            k = min(NEIGHBOURS, key=lambda n: _loss(probes.nearest(x, y, b, classes, n), truth))
        if recipe.l2 is None:
            l2 = min(L2, key=lambda s: _loss(probes.logistic(x, y, b, classes, s), truth))
    both = train + validation
    x, new = probes.standardised(matrix(both), matrix(test))
    y = grades(both)
    knn = probes.nearest(x, y, new, classes, k).numpy()
    linear = probes.logistic(x, y, new, classes, l2).numpy()
    table = pd.DataFrame(
        {
            "case": test,
            "truth": grades(test).numpy(),
            "knn": knn.argmax(1),
            "linear": linear.argmax(1),
            **{f"p{c}": linear[:, c] for c in range(classes)},
            **{f"knn_p{c}": knn[:, c] for c in range(classes)},
            "majority": int(y.bincount().argmax()),
        }
    )
    return table, {"neighbours": k, "l2": l2}


def _loss(probabilities: Tensor, truth: Tensor) -> float:
    """Cross-entropy; no vote at all costs as much as a probability of 1 %."""
    return float(F.nll_loss(probabilities.clamp(min=0.01).log(), truth))


def _summary(table: pd.DataFrame, classes: int, seed: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    truth = table["truth"].to_numpy()
    for name, prefix in zip(_PROBES, ("knn_p", "p"), strict=True):
        likely = table[[f"{prefix}{c}" for c in range(classes)]].to_numpy()
        found = estimates(Graded(truth, table[name].to_numpy(), likely), seed)
        result[name] = {metric: found[metric].value for metric in METRICS}
        intervals[name] = {metric: [found[metric].low, found[metric].high] for metric in METRICS}
    majority = float((table["majority"].to_numpy() == truth).mean())
    return result | {"majority": majority, "intervals": intervals}


def _print(result: dict[str, Any]) -> None:
    table = Table("probe", *METRICS, box=box.SIMPLE_HEAD)
    for name in _PROBES:
        cells = []
        for metric in METRICS:
            low, high = result["intervals"][name][metric]
            cells.append(f"{result[name][metric]:.3f} ({low:.3f}–{high:.3f})")
        table.add_row(name, *cells)
    table.add_row("commonest grade", "", f"{result['majority']:.3f}", "")
    table.caption = f"{result['cases']} images; in brackets 95 % bootstrap intervals"
    console().print(table)
