"""A trained model over a whole volume, whatever its size."""

import itertools

import torch
from jaxtyping import Float
from monai.inferers.inferer import SliceInferer
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

from scanprior.contracts import Learner


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

    A 2D model goes through a 3D volume slice by slice along its first axis.

    Args:
        mirror: spatial axes of the volume to flip; the answers of all combinations are averaged.
    """
    was_training = learner.training
    learner.eval()
    device = next(learner.parameters()).device

    def logits(x: Tensor) -> Tensor:
        return learner.head(learner.encoder(x), x.shape[2:])

    total = torch.zeros(())
    flips = [c for n in range(len(mirror) + 1) for c in itertools.combinations(mirror, n)]
    for axes in flips:
        dims = [1 + axis for axis in axes]
        x = image.flip(dims)[None].to(device)
        if len(crop) < image.ndim - 1:
            slices = SliceInferer(
                roi_size=crop, sw_batch_size=16, overlap=overlap, mode="gaussian", spatial_dim=0
            )
            out = slices(x, logits)
            assert isinstance(out, Tensor)
        else:
            out = sliding_window_inference(
                x, crop, window_batch, logits, overlap=overlap, mode="gaussian"
            )
            assert isinstance(out, Tensor)
        total = total + out[0].float().softmax(0).flip(dims).cpu()
    learner.train(was_training)
    return total / len(flips)


def hard_dice(predicted: Tensor, label: Tensor, classes: int) -> list[float]:
    """Dice of each foreground class; a class that neither has counts as 1."""
    scores = []
    for k in range(1, classes):
        p, t = predicted == k, label == k
        size = int(p.sum() + t.sum())
        scores.append(2 * int((p & t).sum()) / size if size else 1.0)
    return scores
