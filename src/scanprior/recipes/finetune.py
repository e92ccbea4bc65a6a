"""Fine-tuning: a segmenter or classifier on few labels, from scratch or from a pretext run."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from scanprior import transfer
from scanprior.alone import alone
from scanprior.console import say
from scanprior.contracts import Learner, Task
from scanprior.data.label_names import label_names
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training, fit
from scanprior.nn import encoders
from scanprior.recipes.begin import (
    begin,
    check_crop,
    check_numbers,
    check_padding,
    describe,
    rehearse,
)
from scanprior.recipes.divide import chosen, divide, keep, volumes_of
from scanprior.recipes.seen import flattered, seen
from scanprior.recipes.supervision import supervision
from scanprior.saved import save_weights, write_json
from scanprior.transfer import COVERAGE, Channels


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Fine-tune an encoder and a head on the labelled volumes of a store."""

    store: Path
    """Folder that `scanprior prepare` made, with label maps or grades."""
    out: Path
    """Run folder to write; the same command again continues an interrupted run."""
    start: str = "scratch"
    """scratch, or the folder of a pretext or another fine-tuning run."""
    channels: Channels = "repeat"
    """Where a start had another number of channels. repeat: its input weights in turn, rescaled
    (the paper's way); average: their mean; anew: random."""
    coverage: float = COVERAGE
    """Share of the encoder's parameters, 0 to 1, that the start must give."""
    task: Task = field(default_factory=Segmentation)
    """What to learn: segmentation (label maps) or classification (grades)."""
    labels: int | float | None = None
    """How many labelled volumes to train on: a number (10), or a fraction below 1 (0.1);
    by default all."""
    split: Path | None = None
    """File of the split to use, in place of the store's."""
    validation: float = 0.2
    """Share of the labelled volumes kept for validation, when the store has no split yet."""
    test: float = 0.0
    """Share of the labelled volumes never used, when the store has no split yet."""
    split_seed: int = 0
    """Of the split, when the store has none yet."""
    encoder: str | None = None
    """By default the start's, or small."""
    widths: tuple[int, ...] | None = None
    """Channels of each level, in place of the encoder's own."""
    spatial_dims: Literal[2, 3] | None = None
    """By default the start's, or the store's."""
    crop: tuple[int, ...] | None = None
    """Voxels an axis of a training crop; by default whole images for classification. For
    segmentation divisible by the encoder's stride, and by default up to 64 (224 in 2D)."""
    frozen_steps: int = 0
    """Steps with the encoder frozen before all is trained (the paper's warm-up)."""
    frozen: bool = False
    """Keep the encoder frozen throughout."""
    validate_every: int = 100
    """Steps between validations; 0 validates never and keeps the last weights only."""
    seed: int = 0
    """Of weights, crops and views."""
    training: Training = field(default_factory=lambda: Training(lr=4e-3))
    """In Python, Training(...) without lr has 1e-3; name lr=4e-3 too."""


class Plan(NamedTuple):
    """A recipe that goes together with its store and start; nothing of it is written yet."""

    recipe: Finetune
    learner: Learner
    train: list[Volume]
    validation: list[Volume]
    crop: tuple[int, ...]
    split: Split
    about: dict[str, Any]
    """What the model's file will say of itself."""


def finetune(recipe: Finetune) -> dict[str, Any]:
    """Run the recipe; leaves ``best.safetensors`` and ``last.safetensors`` in ``recipe.out``.

    Raises:
        InputError: before any work, where store, start, crop and encoder do not go together.
    """
    return carry_out(plan(recipe))


def plan(recipe: Finetune, split: Split | None = None) -> Plan:
    """Everything that can be refused, and no more; ``split`` in place of the recipe's.

    Raises:
        InputError: store, start, crop and encoder do not go together.
    """
    names = ("seed", "split_seed", "frozen_steps", "validate_every")
    check_numbers(**{name: getattr(recipe, name) for name in names})
    store = Store(recipe.store)
    labels = supervision(recipe.task)
    known = labels.known(store)
    split = split or divide(
        store, known, recipe.split, recipe.validation, recipe.test, recipe.split_seed
    )
    train = volumes_of(chosen(split, recipe.labels), known, store)
    validation = volumes_of(split.validation, known, store)
    task = labels.adapt(recipe.task, store, train)
    learner, name, widths = _learner(recipe, task, store)
    crop = recipe.crop or labels.crop(train, learner.encoder)
    check_crop(crop, learner.encoder.spatial_dims, store)
    labels.check(crop, learner.encoder)
    check_padding(crop, store)
    rehearse(learner, (torch.zeros(2, store.channels, *crop), labels.blank(crop)))
    about = describe(name, widths, learner, store) | {
        "crop": crop,
        "task": learner.task,
        "start": recipe.start,
        "labels": len(train),
        "label_names": label_names(store),
    }
    return Plan(recipe, learner, train, validation, crop, split, about)


def carry_out(planned: Plan) -> dict[str, Any]:
    """Train as planned, keep the best and the last weights, return the last metrics.

    Raises :class:`InputError` where another process writes the run's folder, or has divided the
    store differently since.
    """
    t = planned.recipe.training
    with alone(planned.recipe.out, together=t.devices * t.nodes > 1):
        return _train(planned)


def _train(planned: Plan) -> dict[str, Any]:
    began = time.monotonic()
    recipe, learner, train, validation, crop, split, about = planned
    out, t, labels = recipe.out, recipe.training, supervision(recipe.task)
    begin(out, recipe)
    if recipe.start != "scratch" and (
        had := seen(Path(recipe.start), Store(recipe.store), split.test)
    ):
        say(f"{flattered(recipe.start, len(had))}; pretrain again now that the split is there.")
    if recipe.split is None:
        keep(split, recipe.store)
    used = {"train": [v.id for v in train], "validation": [v.id for v in validation]}
    write_json(out / "cases.json", used)

    def validate(_: torch.nn.Module, step: int) -> dict[str, float]:
        return labels.validate(learner, validation, crop)

    last = fit(
        learner,
        labels.samples(train, crop, seed=recipe.seed, length=t.steps * t.batch_size),
        t,
        out=out,
        seed=recipe.seed,
        frozen_encoder_steps=-1 if recipe.frozen else recipe.frozen_steps,
        validate=validate if recipe.validate_every and validation else None,
        validate_every=recipe.validate_every,
        best=labels.best,
        on_best=lambda _, __: save_weights(out / "best.safetensors", learner, about),
    )
    save_weights(out / "last.safetensors", learner, about)
    return {
        "out": str(out),
        "labels": len(train),
        "minutes": round((time.monotonic() - began) / 60, 2),
        **last,
    }


def _learner(
    recipe: Finetune, task: Task, store: Store
) -> tuple[Learner, str, tuple[int, ...] | None]:
    torch.manual_seed(recipe.seed)
    name, widths = recipe.encoder or "small", recipe.widths
    if recipe.encoder:
        encoders.allow(recipe.encoder)  # before the start's file is read, which may name it too
    dims = recipe.spatial_dims or store.spatial_dims
    if recipe.start != "scratch":
        about = transfer.about_start(Path(recipe.start))
        name = recipe.encoder or about["encoder"]
        if widths is None and name == about["encoder"] and about["widths"]:
            widths = tuple(about["widths"])
        dims = recipe.spatial_dims or about["spatial_dims"]
    encoder = encoders.build(name, dims, store.channels, widths)
    learner = Learner(task, encoder)
    if recipe.start != "scratch":
        transfer.load_start(
            Path(recipe.start), encoder, channels=recipe.channels, coverage=recipe.coverage
        )
    return learner, name, widths
