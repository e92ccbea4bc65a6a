"""What fine-tuning has to know of a downstream task: where its answers lie, and what is best."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from scanprior.contracts import Encoder, InputError, Learner, Task
from scanprior.data.crops import Crops, fitting_crop
from scanprior.data.graded import GradedCrops
from scanprior.data.store import Store, Volume
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.metrics.grading import scores
from scanprior.metrics.segmentation import hard_dice
from scanprior.predict import probabilities
from scanprior.recipes.grades import graded, table_of


class Supervision(ABC):
    """One kind of label of a store's volumes. Holds nothing."""

    best: ClassVar[str]
    """The validation score whose highest value marks the weights to keep."""

    @abstractmethod
    def known(self, store: Store) -> list[Volume]:
        """The volumes that have the label; :class:`InputError` where they cannot be trained on."""

    @abstractmethod
    def adapt(self, task: Task, store: Store, train: Sequence[Volume]) -> Task:
        """``task`` for these labels: how many classes there are, and how frequent each is."""

    @abstractmethod
    def crop(self, volumes: Sequence[Volume], encoder: Encoder) -> tuple[int, ...]:
        """The crop where none is asked for."""

    @abstractmethod
    def check(self, crop: tuple[int, ...], encoder: Encoder) -> None:
        """Raise :class:`InputError` where task and encoder cannot work on the crop."""

    @abstractmethod
    def blank(self, crop: tuple[int, ...]) -> Tensor:
        """Labels for a batch of two empty crops."""

    @abstractmethod
    def samples(
        self, volumes: Sequence[Volume], crop: tuple[int, ...], *, seed: int, length: int
    ) -> Dataset[Any]:
        """Crops and their labels."""

    @abstractmethod
    def validate(
        self, learner: Learner, volumes: Sequence[Volume], crop: tuple[int, ...]
    ) -> dict[str, float]:
        """Scores on whole volumes, :attr:`best` among them."""


class LabelMaps(Supervision):
    """A class for every voxel."""

    best = "dice"

    def known(self, store: Store) -> list[Volume]:
        if store.classes < 2:
            grades = any(volume.grade is not None for volume in store)
            fix = (
                "for its grades say classification" if grades else "prepare a source that has them"
            )
            raise InputError(f"{store.folder} holds no label maps; {fix}.")
        return [volume for volume in store if volume.labelled]

    def adapt(self, task: Task, store: Store, train: Sequence[Volume]) -> Task:
        assert isinstance(task, Segmentation)
        return replace(task, classes=store.classes)

    def crop(self, volumes: Sequence[Volume], encoder: Encoder) -> tuple[int, ...]:
        """As much of a typical volume as fits, up to a multiple of the encoder's stride."""
        dims, stride = encoder.spatial_dims, encoder.strides[-1]
        fitting = fitting_crop(volumes, dims, multiple=1)
        return tuple(-(-side // stride) * stride for side in fitting)

    def check(self, crop: tuple[int, ...], encoder: Encoder) -> None:
        """A decoder doubles its way back to the crop's size."""
        stride = encoder.strides[-1]
        for side in crop:
            if side % stride:
                near = sorted({max(stride, side // stride * stride), -(-side // stride) * stride})
                raise InputError(
                    f"crop {side} is not divisible by {stride}; use {' or '.join(map(str, near))}."
                )

    def blank(self, crop: tuple[int, ...]) -> Tensor:
        return torch.zeros(2, *crop, dtype=torch.long)

    def samples(
        self, volumes: Sequence[Volume], crop: tuple[int, ...], *, seed: int, length: int
    ) -> Dataset[Any]:
        return Crops(volumes, crop, seed=seed, length=length, labels=True)

    def validate(
        self, learner: Learner, volumes: Sequence[Volume], crop: tuple[int, ...]
    ) -> dict[str, float]:
        """Mean Dice over cases and foreground classes, on whole volumes in the store's grid.

        A class that no label of ``volumes`` has does not count: its Dice would be 1 for leaving it
        out. NaN where none of them has any.
        """
        assert isinstance(learner.task, Segmentation)
        classes = learner.task.classes
        there = torch.zeros(classes, dtype=torch.bool)
        found = []
        for volume in volumes:
            image = torch.from_numpy(volume.read()).float()
            predicted = probabilities(learner, image, crop).argmax(0)
            label = torch.from_numpy(volume.read_label().astype("int64"))
            there[label.unique()] = True
            found.append(hard_dice(predicted, label, classes))
        return {"dice": float(torch.tensor(found, dtype=torch.float64)[:, there[1:]].mean())}


class Grades(Supervision):
    """A grade for every image."""

    best = "kappa"

    def known(self, store: Store) -> list[Volume]:
        """Of at least two grades."""
        found = [volume for volume in store if volume.grade is not None]
        if len({volume.grade for volume in found}) < 2:
            raise InputError(
                f"{store.folder} holds no images of two different grades; prepare a source with "
                "grades (--grades FILE), or say segmentation for label maps."
            )
        return found

    def adapt(self, task: Task, store: Store, train: Sequence[Volume]) -> Task:
        assert isinstance(task, Classification)
        classes = 1 + max(v.grade for v in store if v.grade is not None)
        frequency = Counter(volume.grade for volume in train)
        axes = task.flip_axes
        if axes is None:
            axes = _MIRRORED[store.spatial_dims]
        counts = tuple(frequency[grade] for grade in range(classes))
        return replace(task, classes=classes, counts=counts, flip_axes=axes)

    def crop(self, volumes: Sequence[Volume], encoder: Encoder) -> tuple[int, ...]:
        """The whole image: what gives a grade may be anywhere. Smaller ones are surrounded."""
        sides = [max(sides) for sides in zip(*(v.shape[1:] for v in volumes), strict=True)]
        return tuple(sides[-encoder.spatial_dims :])

    def check(self, crop: tuple[int, ...], encoder: Encoder) -> None:
        """Any crop will do whose coarsest level exists; the rehearsal says where it does not."""

    def blank(self, crop: tuple[int, ...]) -> Tensor:
        return torch.zeros(2, dtype=torch.long)

    def samples(
        self, volumes: Sequence[Volume], crop: tuple[int, ...], *, seed: int, length: int
    ) -> Dataset[Any]:
        return GradedCrops(volumes, crop, seed=seed, length=length)

    def validate(
        self, learner: Learner, volumes: Sequence[Volume], crop: tuple[int, ...]
    ) -> dict[str, float]:
        """Quadratic weighted kappa, accuracy, AUC; NaN where they are undefined."""
        return scores(graded(table_of(learner, volumes, crop)))


_KINDS: dict[type[Task], Supervision] = {Segmentation: LabelMaps(), Classification: Grades()}
_MIRRORED: dict[int, tuple[int, ...]] = {2: (0, 1), 3: ()}
"""Axes along which images may be flipped where nobody says: photographs have no side, bodies do."""


def supervision(task: Task) -> Supervision:
    """The labels that ``task`` learns from."""
    for kind, found in _KINDS.items():
        if isinstance(task, kind):
            return found
    raise InputError(
        f"{type(task).__name__} has no labels to fine-tune on; use segmentation or classification."
    )
