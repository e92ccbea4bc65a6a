"""Classification: a grade for a whole image: one of several classes, or a place in an order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from scanprior import nd
from scanprior.contracts import UNSAID, Encoder, InputError, Step, Task, Views
from scanprior.nn.augment import Augment
from scanprior.nn.heads import CELLS


@dataclass(frozen=True)
class Classification(Task):
    """Which grade, 0 to ``classes`` - 1, an image has."""

    classes: int = 2
    """How many grades; fine-tuning takes the number from the store."""
    answer: Literal["softmax", "ordinal"] = "softmax"
    """softmax: grades are kinds, apart from each other. ordinal: grades are in order (CORAL)."""
    levels: Literal["all", "coarsest"] = field(default="all", metadata={UNSAID: "coarsest"})
    """Levels of the encoder that the head reads: all, or the coarsest alone (the paper's). The fine
    levels show lesions of a few pixels."""
    dropout: float = 0.2
    """Share of the pooled features that is dropped in training."""
    balance: float = 0.0
    """How much more rare grades weigh in the loss: 0 not at all, 1 as if all were equally frequent,
    0.5 in between."""
    counts: tuple[int, ...] = ()
    """Training images of each grade, for ``balance``; fine-tuning fills it in."""
    flip_axes: tuple[int, ...] | None = None
    """Spatial axes along which a mirror image is possible; by default both axes of photographs and
    none of volumes (fine-tuning fills it in)."""
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"classes {self.classes} leaves nothing to tell apart; use 2 or more.")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout {self.dropout} is no share; use 0 or more, below 1.")
        if not 0 <= self.balance <= 1:
            raise InputError(f"balance {self.balance} is impossible; use a number from 0 to 1.")
        if self.counts and len(self.counts) != self.classes:
            raise InputError(f"{len(self.counts)} counts do not suit {self.classes} classes.")

    def views(self, batch: Sequence[Tensor], rng: torch.Generator) -> Views:
        """Augmented images ``(b, c, *s)`` float32 and grades ``(b,)`` int64 of ``batch``.

        Raises :class:`InputError` where ``flip_axes`` names an axis the images do not have.
        """
        image, grade = batch
        dims, axes = len(image.shape) - 2, self.flip_axes or ()
        if any(not 0 <= axis < dims for axis in axes):
            raise InputError(
                f"flip_axes {axes} do not suit images of {dims} axes; use numbers from 0 to "
                f"{dims - 1}."
            )
        return Views(self.augment(image, None, rng, axes)[0], grade.long())

    def head(self, encoder: Encoder) -> nn.Module:
        """Levels to logits: ``(b, classes)``, or ``(b, classes - 1)`` for ordinal ones."""
        first = 0 if self.levels == "all" else len(encoder.channels) - 1
        features = sum(encoder.channels[first:]) * (CELLS**encoder.spatial_dims + 1)
        last = (
            nn.Linear(features, self.classes)
            if self.answer == "softmax"
            else Ordinal(features, self.classes)
        )
        return nn.Sequential(Pool(encoder.spatial_dims, first), nn.Dropout(self.dropout), last)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        image, grade = views
        logits = head(encoder(image)).float()
        if self.answer == "softmax":
            each = F.cross_entropy(logits, grade, reduction="none")
        else:  # Cao et al. 2020, equation 4
            above = (grade[:, None] > torch.arange(logits.shape[1], device=grade.device)).float()
            each = F.binary_cross_entropy_with_logits(logits, above, reduction="none").sum(1)
        # Weights of mean 1 over the training images, not over the batch: micro-batches add up.
        loss = (each * self._weights().to(each)[grade]).mean()
        predicted = self.decide(self.probabilities(logits.detach()))
        return Step(loss, {"accuracy": (predicted == grade).float().mean()})

    def probabilities(self, logits: Float[Tensor, "b m"]) -> Float[Tensor, "b k"]:
        """Of every grade, from the head's logits."""
        if self.answer == "softmax":
            return logits.float().softmax(1)
        # Never rising with the grade: so CORAL's biases end up, but not on the way there.
        above = logits.float().sigmoid().cummin(1).values
        above = F.pad(F.pad(above, (1, 0), value=1.0), (0, 1), value=0.0)
        return above[:, :-1] - above[:, 1:]

    def decide(self, probabilities: Float[Tensor, "b k"]) -> Int[Tensor, " b"]:
        """The most probable grade; of grades in order, the median one."""
        if self.answer == "softmax":
            return probabilities.argmax(1)
        return (probabilities.cumsum(1)[:, :-1] < 0.5).sum(1)

    def _weights(self) -> Tensor:
        """``(classes,)`` weights in the loss, of mean 1 over the training images."""
        if not self.counts or self.balance == 0:
            return torch.ones(self.classes)
        counts = torch.tensor(self.counts, dtype=torch.float32)
        weights = counts.clamp(min=1) ** -self.balance
        return weights * counts.sum() / (weights * counts).sum()


class Pool(nn.Module):
    """Levels from ``first`` on to features ``(b, channels * (cells + 1))``: means over cells,
    maxima over space."""

    def __init__(self, spatial_dims: int, first: int):
        super().__init__()
        self.mean = nd.AdaptiveAvgPool[spatial_dims](CELLS)
        self.first = first

    def forward(self, levels: list[Tensor]) -> Tensor:
        read = levels[self.first :]
        means = [self.mean(level.float()).flatten(1) for level in read]
        maxima = [level.flatten(2).amax(2).float() for level in read]
        return torch.cat([*means, *maxima], 1)


class Ordinal(nn.Module):
    """Logits ``(b, k - 1)`` of "the grade is above 0, 1, ...".

    The k - 1 binary questions are Frank & Hall's (2001); that they share one direction of features
    and differ in their biases alone, so that the answers are consistent, is CORAL (Cao, Mirjalili &
    Raschka 2020).
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.direction = nn.Linear(features, 1, bias=False)
        self.biases = nn.Parameter(torch.linspace(1, -1, classes - 1))

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b m"]:
        return self.direction(x) + self.biases
