"""The few shapes everything else is written against. Read this first.

b = batch, c = channels, *s = spatial axes: (height, width) in 2D, (depth, height, width) in 3D.
In an image of the body these run towards superior, anterior and right: index 0 is the inferior,
posterior, left corner (RAS read backwards, as arrays of (z, y, x) are).
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

UNSAID = "unsaid"
"""In a dataclass field's metadata: what a saved recipe without the field means by that, where the
field came later with another default."""


class InputError(Exception):
    """Something the user gave cannot be used: one sentence with what, what is wrong, what to do.

    The command line prints the sentence and exits with a non-zero code, without a traceback.
    """


def at_least(least: int, **values: int | float) -> None:
    """Raise :class:`InputError` where one of ``values`` is below ``least`` or not finite."""
    for name, value in values.items():
        if not least <= value < math.inf:
            raise InputError(f"{name} {value} is not possible; use {least} or more.")


def shares(**values: int | float) -> None:
    """Raise :class:`InputError` where one of ``values`` is not from 0 to 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name} {value} is no share; use a number from 0 to 1.")


def angles(**values: float) -> None:
    """Raise :class:`InputError` where one of ``values`` is not from 0 to 180 degrees."""
    for name, value in values.items():
        if not 0 <= value <= 180:
            raise InputError(
                f"{name} {value} is not possible; use 0 to 180 degrees, which is every angle."
            )


class Step(NamedTuple):
    """What one forward pass says: the loss to descend, and numbers to log."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Tensor]


class Views(NamedTuple):
    """What the encoder is shown, ``(b, *views, c, *s)``, and the answer.

    ``target`` is always a tensor: a class index, a sample's number, places, an image.
    """

    inputs: Tensor
    target: Tensor


@runtime_checkable
class Encoder(Protocol):
    """Image ``(b, c, *s)`` to levels ``(b, channels[i], *ceil(s / strides[i]))``, finest first."""

    @property
    def spatial_dims(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...

    def __call__(self, x: Float[Tensor, "b c *s"], /) -> list[Tensor]: ...


class Task(ABC):
    """A question put to an encoder. Subclasses are frozen dataclasses: the fields are the recipe.

    A task holds no weights. ``views`` is random and has no gradient; ``loss`` has one and, in
    evaluation mode, is deterministic; ``head`` makes whatever must be trained beside the encoder.
    """

    @abstractmethod
    def views(self, batch: Any, rng: torch.Generator) -> Views:
        """Draw what the encoder is shown. Leaves ``batch`` as it is.

        Raises :class:`InputError` where the crop does not suit the task.
        """

    @abstractmethod
    def head(self, encoder: Encoder) -> nn.Module:
        """A new module with all that is trained beside ``encoder`` and thrown away after."""

    def facts(self, spatial_dims: int) -> dict[str, float]:
        """What follows from the fields and is worth recording with a run; nothing by default."""
        return {}

    @abstractmethod
    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        """The scalar to descend, and metrics without gradient.

        In training it may move the head's own memory (a queue, a teacher), and dropout draws from
        torch's global generator.

        Raises :class:`InputError` where the batch does not suit the task.
        """


class Learner(nn.Module):
    """A task, an encoder and a head: the one thing that is ever trained."""

    def __init__(self, task: Task, encoder: Encoder):
        super().__init__()
        self.task, self.encoder, self.head = task, encoder, task.head(encoder)

    def forward(self, batch: Any, rng: torch.Generator) -> Step:
        # where a view lies and how it is turned needs more digits than the encoder's arithmetic
        with torch.no_grad(), torch.autocast(rng.device.type, enabled=False):
            views = self.task.views(_in_float32(batch), rng)
        return self.task.loss(self.encoder, self.head, views)


def _in_float32(batch: Any) -> Any:
    """Images as they should be transformed: Fabric hands them over in the encoder's arithmetic."""
    if isinstance(batch, (list, tuple)):
        return [_in_float32(part) for part in batch]
    return batch.float() if isinstance(batch, Tensor) and batch.is_floating_point() else batch
