"""Fine-tuning: a segmenter on few labels, from scratch or from a pretext run."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from scanprior import transfer
from scanprior.contracts import InputError, Learner
from scanprior.data.crops import Crops, fitting_crop
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training, fit
from scanprior.nn import encoders
from scanprior.predict import hard_dice, probabilities
from scanprior.recipes.pretrain import begin, check_crop, describe, rehearse
from scanprior.saved import load_weights, save_weights, thaw, write_json


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Fine-tune a segmenter on the labelled volumes of a store."""

    store: Path
    """Folder that `scanprior prepare` made, with labels."""
    out: Path
    """Run folder to write; the same command again continues an interrupted run."""
    start: str = "scratch"
    """scratch, or the folder of a pretext run."""
    task: Segmentation = field(default_factory=Segmentation)
    labels: int | float | None = None
    """How many labelled volumes to train on: a number (10), or a fraction below 1 (0.1);
    by default all."""
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
    """Voxels an axis of a training crop, divisible by the encoder's stride; by default from the
    volumes, up to 64 (224 in 2D)."""
    frozen_steps: int = 0
    """Steps with the encoder frozen before all is trained (the paper's warm-up)."""
    frozen: bool = False
    """Keep the encoder frozen throughout."""
    validate_every: int = 100
    """Steps between validations; 0 validates never and keeps the last weights only."""
    seed: int = 0
    """Of weights, crops and views."""
    training: Training = field(default_factory=lambda: Training(lr=2e-3))


def finetune(recipe: Finetune) -> dict[str, Any]:
    """Run the recipe; leaves ``best.safetensors`` and ``last.safetensors`` in ``recipe.out``.

    Raises:
        InputError: before any work, where store, start, crop and encoder do not go together.
    """
    began = time.time()
    store = Store(recipe.store)
    if store.classes < 2:
        raise InputError(f"{recipe.store} holds no label maps; prepare a source that has them.")
    split = _split(store, recipe)
    chosen = _chosen(split, recipe.labels)
    train, validation = store.of(chosen), store.of(split.validation)
    learner, name, widths = _learner(recipe, store)
    dims = learner.encoder.spatial_dims
    stride = learner.encoder.strides[-1]
    crop = recipe.crop or _whole(train, dims, stride)
    check_crop(crop, dims, store)
    for side in crop:
        if side % stride:
            near = sorted({max(stride, side // stride * stride), -(-side // stride) * stride})
            raise InputError(
                f"crop {side} is not divisible by {stride}; use {' or '.join(map(str, near))}."
            )
    label = torch.zeros(2, *crop, dtype=torch.long)
    rehearse(learner, (torch.zeros(2, store.channels, *crop), label))

    begin(recipe.out, recipe)
    write_json(recipe.out / "cases.json", {"train": chosen, "validation": split.validation})
    t = recipe.training
    about = describe(name, widths, learner, store) | {
        "crop": crop,
        "task": learner.task,
        "start": recipe.start,
        "labels": len(train),
    }

    def validate(_: torch.nn.Module, step: int) -> dict[str, float]:
        return {"dice": validation_dice(learner, validation, crop, store.classes)}

    last = fit(
        learner,
        Crops(train, crop, seed=recipe.seed, length=t.steps * t.batch_size, labels=True),
        t,
        out=recipe.out,
        seed=recipe.seed,
        frozen_encoder_steps=-1 if recipe.frozen else recipe.frozen_steps,
        validate=validate if recipe.validate_every and validation else None,
        validate_every=recipe.validate_every,
        on_best=lambda _, __: save_weights(recipe.out / "best.safetensors", learner, about),
    )
    save_weights(recipe.out / "last.safetensors", learner, about)
    return {
        "out": str(recipe.out),
        "labels": len(train),
        "minutes": round((time.time() - began) / 60, 2),
        **last,
    }


def load_segmenter(run: Path) -> tuple[Learner, dict[str, Any]]:
    """The best (else the last) model of a fine-tuning run, and what it says of itself."""
    best = run / "best.safetensors"
    state, about = load_weights(best if best.is_file() else run / "last.safetensors")
    learner = Learner(thaw(Segmentation, about["task"]), transfer.build(about))
    learner.load_state_dict(state)
    return learner.eval(), about


def validation_dice(
    learner: Learner, volumes: list[Volume], crop: tuple[int, ...], classes: int
) -> float:
    """Mean Dice over cases and foreground classes, on whole volumes in the store's grid."""
    everything = slice(None)
    scores = []
    for volume in volumes:
        box = (everything,) * volume.spatial_dims
        image = torch.from_numpy(volume.read(box)).float()
        predicted = probabilities(learner, image, crop).argmax(0)
        label: Tensor = torch.from_numpy(volume.read_label(box).astype("int64"))
        scores += hard_dice(predicted, label, classes)
    return sum(scores) / len(scores)


def _split(store: Store, recipe: Finetune) -> Split:
    path = store.folder / "split.json"
    if path.is_file():
        return Split.load(path)
    split = Split.make(
        list(store), validation=recipe.validation, test=recipe.test, seed=recipe.split_seed
    )
    split.save(path)
    return split


def _chosen(split: Split, labels: int | float | None) -> tuple[str, ...]:
    """The volumes to train on; a whole number is a count (1.0 is one volume, not all of them)."""
    if labels is None:
        return split.train
    return split.first(int(labels) if labels >= 1 and labels == int(labels) else labels)


def _learner(recipe: Finetune, store: Store) -> tuple[Learner, str, tuple[int, ...] | None]:
    torch.manual_seed(recipe.seed)
    name, widths = recipe.encoder or "small", recipe.widths
    dims = recipe.spatial_dims or store.spatial_dims
    if recipe.start != "scratch":
        _, about = load_weights(Path(recipe.start) / "encoder.safetensors")
        name = recipe.encoder or about["encoder"]
        widths = recipe.widths or (tuple(about["widths"]) if about["widths"] else None)
        dims = recipe.spatial_dims or about["spatial_dims"]
    encoder = encoders.build(name, dims, store.channels, widths)
    learner = Learner(replace(recipe.task, classes=store.classes), encoder)
    if recipe.start != "scratch":
        transfer.load_start(Path(recipe.start), encoder)
    return learner, name, widths


def _whole(volumes: list[Volume], dims: int, stride: int) -> tuple[int, ...]:
    """As much of a typical volume as fits, up to a multiple of the encoder's stride."""
    fitting = fitting_crop(volumes, dims, limit={2: 224, 3: 64}[dims], multiple=1)
    return tuple(-(-side // stride) * stride for side in fitting)
