"""What a validation of label maps counts."""

import math
from pathlib import Path

import pytest
import torch

from scanprior.contracts import Learner
from scanprior.data.store import Store, Volume
from scanprior.downstream.segmentation import Segmentation
from scanprior.metrics.segmentation import hard_dice
from scanprior.nn import encoders
from scanprior.recipes import supervision

CROP = (16, 16, 16)


def validated(
    monkeypatch: pytest.MonkeyPatch, volumes: list[Volume], found: list[torch.Tensor]
) -> float:
    """The Dice of label maps ``found`` of four classes; the labels know only 1, in a ball."""
    answers = iter(found)

    def likely(*_: object) -> torch.Tensor:
        return torch.nn.functional.one_hot(next(answers), 4).movedim(-1, 0).float()

    monkeypatch.setattr(supervision, "probabilities", likely)
    learner = Learner(Segmentation(classes=4), encoders.build("small", 3, 1, (4, 8)))
    return supervision.supervision(learner.task).validate(learner, volumes, CROP)["dice"]


def label(volume: Volume) -> torch.Tensor:
    return torch.from_numpy(volume.read_label().astype("int64"))


def test_a_class_that_no_validation_label_has_does_not_count(
    ball_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As label 3 of BraTS: to leave it out everywhere is no merit."""
    volumes = Store(ball_store)[:3]
    nothing = [torch.zeros_like(label(v)) for v in volumes]
    assert validated(monkeypatch, volumes, nothing) == 0
    half = [label(v) for v in volumes]
    for one in half:
        one[:, :, : one.shape[2] // 3] = 3  # what else is found there is of no class that counts
    each = [hard_dice(a, label(v), 2)[0] for a, v in zip(half, volumes, strict=True)]
    assert validated(monkeypatch, volumes, half) == pytest.approx(sum(each) / 3)
    assert 0 < sum(each) / 3 < 1


def test_a_class_that_some_label_has_counts_in_every_case(
    ball_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = Store(ball_store)[:3]
    truth = [label(v) for v in volumes]
    truth[0][truth[0] == 1] = 2
    shown = iter(one.numpy() for one in truth)
    monkeypatch.setattr(Volume, "read_label", lambda _: next(shown))
    found = [one.clone() for one in truth]
    found[1][0, 0, 0] = 2  # where its label has none
    assert validated(monkeypatch, volumes, found) == pytest.approx(5 / 6)


def test_where_nothing_is_labelled_no_score_is_known(
    ball_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = Store(ball_store)[:2]
    nothing = [torch.zeros_like(label(v)) for v in volumes]
    shown = iter(one.numpy() for one in nothing)
    monkeypatch.setattr(Volume, "read_label", lambda _: next(shown))
    assert math.isnan(validated(monkeypatch, volumes, nothing))
