"""A trained model over a whole image, whatever its size."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from monai.data.utils import dense_patch_slices
from monai.inferers.inferer import SliceInferer
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

from scanprior.contracts import Learner
from scanprior.downstream.classification import Classification


@torch.no_grad()
def probabilities(
    learner: Learner,
    image: Float[Tensor, "c *s"],
    crop: tuple[int, ...],
    *,
    overlap: float = 0.5,
    mirror: tuple[int, ...] = (),
    window_batch: int = 4,
) -> Float[Tensor, "k *s"]:
    """Class probabilities of every voxel, from overlapping windows of ``crop``, Gaussian weights.

    A 2D model goes through a 3D volume slice by slice along its first axis. An image smaller than a
    window is surrounded by each channel's minimum, as small volumes are in training crops.

    Args:
        mirror: spatial axes of the volume to flip; the answers of all combinations are averaged.
    """
    device = next(learner.parameters()).device
    padded, box = _surrounded(image.float(), crop)

    def logits(x: Tensor) -> Tensor:
        return learner.head(learner.encoder(x), x.shape[2:])

    def likely(x: Tensor) -> Tensor:
        if len(crop) < len(x.shape) - 1:
            slices = SliceInferer(
                roi_size=crop, sw_batch_size=16, overlap=overlap, mode="gaussian", spatial_dim=0
            )
            out = slices(x[None].to(device), logits)
        else:
            out = sliding_window_inference(
                x[None].to(device), crop, window_batch, logits, overlap=overlap, mode="gaussian"
            )
        assert isinstance(out, Tensor)
        return out[0].float().softmax(0)

    total = torch.zeros(())
    flips = _flips(mirror)
    with _evaluating(learner):
        for axes in flips:
            total = total + likely(padded.flip(axes)).flip(axes).cpu()
    return (total / len(flips))[(slice(None), *box)]


@torch.no_grad()
def image_probabilities(
    learner: Learner,
    image: Float[Tensor, "c *s"],
    crop: tuple[int, ...],
    *,
    overlap: float = 0.5,
    mirror: tuple[int, ...] = (),
    window_batch: int = 8,
) -> Float[Tensor, " k"]:
    """Probabilities of the grades of a whole image of any size.

    It is the mean over windows of ``crop`` that cover the image, or over slices along the first
    axis where a 2D model sees a 3D volume; an image that fits into one lies in its middle,
    surrounded as in :func:`probabilities`.

    Args:
        overlap: how much of a window its neighbour covers again.
        mirror: spatial axes to flip; the answers of all combinations are averaged.
    """
    task = learner.task
    assert isinstance(task, Classification)
    padded, _ = _surrounded(image.float(), crop)
    size = _sides(image, crop)
    step = [max(1, round(side * (1 - overlap))) for side in size]
    windows = dense_patch_slices(padded.shape[1:], size, step)
    device = next(learner.parameters()).device
    found = []
    with _evaluating(learner):
        for axes in _flips(mirror):
            flipped = padded.flip(axes)
            for first in range(0, len(windows), window_batch):
                group = windows[first : first + window_batch]
                x = torch.stack([flipped[(slice(None), *box)] for box in group])
                x = x.reshape(len(x), len(image), *crop).to(device)
                found.append(task.probabilities(learner.head(learner.encoder(x))).cpu())
    return torch.cat(found).mean(0)


@contextmanager
def _evaluating(learner: Learner) -> Iterator[None]:
    """The learner in evaluation mode, and then in the mode that it was in."""
    was_training = learner.training
    learner.eval()
    try:
        yield
    finally:
        learner.train(was_training)


def _flips(mirror: tuple[int, ...]) -> list[list[int]]:
    """Every combination of the mirrored axes, as axes of an image ``(c, *s)``."""
    counts = range(len(mirror) + 1)
    return [[1 + axis for axis in c] for n in counts for c in itertools.combinations(mirror, n)]


def _sides(image: Tensor, crop: tuple[int, ...]) -> tuple[int, ...]:
    """Of a window: one voxel thick along the axes that the crop lacks."""
    return (1,) * (len(image.shape) - 1 - len(crop)) + crop


def _surrounded(
    image: Float[Tensor, "c *s"], crop: tuple[int, ...]
) -> tuple[Float[Tensor, "c *t"], tuple[slice, ...]]:
    """The image in the middle of at least a window, and where it lies.

    What is around it has each channel's minimum, as in :class:`scanprior.data.crops.Crops`.
    """
    sides = [max(pair) for pair in zip(image.shape[1:], _sides(image, crop), strict=True)]
    box = []
    for side, full in zip(sides, image.shape[1:], strict=True):
        start = (side - full) // 2
        box.append(slice(start, start + full))
    least = image.amin(tuple(range(1, len(image.shape))), keepdim=True)
    padded = least.expand(-1, *sides).clone()
    padded[(slice(None), *box)] = image
    return padded, tuple(box)
