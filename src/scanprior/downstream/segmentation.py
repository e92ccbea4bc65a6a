"""Segmentation: a U-Net decoder on the encoder, Dice and cross-entropy (Isensee et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from monai.losses.dice import DiceCELoss
from torch import Tensor, nn

from scanprior.contracts import Encoder, InputError, Step, Task, Views
from scanprior.nn.augment import Augment
from scanprior.nn.decoder import UNetDecoder


@dataclass(frozen=True)
class Segmentation(Task):
    """Which of ``classes`` each voxel is; class 0 is the background, which Dice leaves out."""

    classes: int = 2
    """Background included; fine-tuning takes the number from the store."""
    deep_supervision: bool = False
    """Answer at the coarser levels too, each weighing half of the finer one."""
    augment: Augment = field(default_factory=Augment)
    flip_axes: tuple[int, ...] = ()
    """Spatial axes along which a mirror image is anatomically possible: 0 is the first, in the body
    superior, then anterior, right. None by default: a left hippocampus is not a right one."""

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(
                f"classes {self.classes} leaves nothing to segment; count the background too and "
                "use 2 or more."
            )

    def views(self, batch: Sequence[Tensor], rng: torch.Generator) -> Views:
        """Augmented images ``(b, c, *s)`` float32 and masks ``(b, *s)`` int64 of ``batch``.

        Raises :class:`InputError` where ``flip_axes`` names an axis the images do not have.
        """
        image, mask = batch
        dims = len(image.shape) - 2
        if any(not 0 <= axis < dims for axis in self.flip_axes):
            raise InputError(
                f"flip_axes {self.flip_axes} do not suit images of {dims} axes; use numbers from 0 "
                f"to {dims - 1}."
            )
        return Views(*self.augment(image, mask.long(), rng, self.flip_axes))

    def head(self, encoder: Encoder) -> UNetDecoder:
        return UNetDecoder(encoder, self.classes, self.deep_supervision)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        image, mask = views
        answers = head(encoder(image), image.shape[2:])
        answers = answers if isinstance(answers, list) else [answers]
        answers = [logits.float() for logits in answers]
        criterion = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True, batch=True)
        truth = mask[:, None].float()
        losses = torch.stack(
            [
                criterion(logits, F.interpolate(truth, logits.shape[2:], mode="nearest"))
                for logits in answers
            ]
        )
        weights = 0.5 ** torch.arange(len(answers), device=losses.device)
        loss = (losses * weights).sum() / weights.sum()
        return Step(loss, {"dice": soft_dice(answers[0].detach(), mask)})


def soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean over the foreground classes of the batch's Dice of the probabilities ``(b, k, *s)``.

    One voxel is added to both sides: a class that is neither there nor predicted counts as 1.
    """
    likely = logits.softmax(1).transpose(0, 1).flatten(1)[1:]
    truth = F.one_hot(mask, logits.shape[1]).flatten(0, -2).T[1:].to(likely.dtype)
    both = (likely * truth).sum(1)
    return ((2 * both + 1) / (likely.sum(1) + truth.sum(1) + 1)).mean()
