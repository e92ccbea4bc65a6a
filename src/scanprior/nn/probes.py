"""Probes: what can be read off a frozen encoder's features by the simplest of classifiers."""

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from scanprior.contracts import Encoder
from scanprior.nn.heads import continued

TEMPERATURE = 0.07
"""Of the neighbours' votes (Wu et al. 2018, "Unsupervised feature learning via non-parametric
instance discrimination")."""
_SIDE = {2: 1024, 3: 96}
"""Voxels an axis that go through the encoder at once."""
_SLICES = 16


@torch.no_grad()
def moments(
    encoder: Encoder, image: Float[Tensor, "c *s"], levels: Literal["all", "coarsest"] = "all"
) -> Float[Tensor, " f"]:
    """One float32 vector ``(2 k,)`` of an image of any size: k channels' means, then deviations.

    Both are over space, level after level. The mean alone says little of an instance-normalised
    level, of which it is nearly constant. A 2D encoder goes through a volume slice by slice along
    the first axis, and all slices are one space. What is too large is cut into windows side by
    side; what is smaller than the encoder's stride is continued by its outermost voxels.

    Args:
        levels: all of the encoder's, finest first, or the coarsest only.
    """
    dims = encoder.spatial_dims
    x = image.float()
    x = x[None] if len(image.shape) == 1 + dims else x.transpose(0, 1)  # (1 or slices, c, *s)
    spans = [_spans(side, _SIDE[dims]) for side in x.shape[2:]]
    count: list[int] = []
    sums: list[Tensor] = []  # of each level, and of its squares, (2, k) float64
    for part in x.split(_SLICES):
        for box in itertools.product(*spans):
            window = part[(slice(None), slice(None), *box)]
            found = encoder(continued(window, encoder.strides[-1]))
            for i, level in enumerate(found if levels == "all" else found[-1:]):
                # on the CPU, because Apple's devices have no float64
                flat = level.cpu().double().transpose(0, 1).flatten(1)  # (k, voxels)
                both = torch.stack((flat.sum(1), flat.square().sum(1)))
                if i == len(count):
                    count.append(0)
                    sums.append(torch.zeros_like(both))
                count[i] += flat.shape[1]
                sums[i] += both
    parts = []
    for n, both in zip(count, sums, strict=True):
        mean, square = both / n
        parts += [mean, (square - mean**2).clamp(min=0).sqrt()]
    return torch.cat(parts).float()


def _spans(side: int, limit: int) -> list[slice]:
    """``side`` voxels in as few, nearly equal parts of at most ``limit`` as will do."""
    parts = -(-side // limit)
    ends = [side * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def standardised(
    train: Float[Tensor, "n f"], *others: Float[Tensor, "m f"]
) -> list[Float[Tensor, "k g"]]:
    """All of them in float64, by the means and deviations of ``train``; constants are dropped."""
    train = train.double()
    mean, deviation = train.mean(0), train.std(0, correction=0)
    varies = deviation > 1e-6 * mean.abs().clamp(min=1e-6)
    return [((x.double() - mean) / deviation)[:, varies] for x in (train, *others)]


def nearest(
    train: Float[Tensor, "n f"],
    grade: Int[Tensor, " n"],
    test: Float[Tensor, "m f"],
    classes: int,
    neighbours: int,
) -> Float[Tensor, "m k"]:
    """Probabilities of the grades by the votes of the most similar images in ``train``.

    Similarity is the cosine; a vote weighs exp(similarity / ``TEMPERATURE``).
    """
    similar = F.normalize(test) @ F.normalize(train).T
    close, index = similar.topk(min(neighbours, len(train)))
    votes = (close / TEMPERATURE).softmax(1)
    none = torch.zeros(len(test), classes, dtype=votes.dtype)
    return none.scatter_add(1, grade[index], votes)


def logistic(
    train: Float[Tensor, "n f"],
    grade: Int[Tensor, " n"],
    test: Float[Tensor, "m f"],
    classes: int,
    l2: float,
) -> Float[Tensor, "m k"]:
    """Probabilities of the grades by multinomial logistic regression, fitted by L-BFGS from zero.

    The loss is the mean cross-entropy plus ``l2`` / 2 times the weights' squared norm (the biases
    are free), which has one minimum.
    """
    weight = torch.zeros(train.shape[1], classes, dtype=train.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=train.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=300, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(train @ weight + bias, grade) + l2 / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return (test @ weight + bias).softmax(1)
