"""Contrastive predictive coding: from the patches above, tell those below.

van den Oord et al. 2018; in 3D, paper section 3.1 and equation 1. Rows run along the first spatial
axis. Every patch is encoded once; the contexts share the embeddings.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scanprior import nd
from scanprior.contracts import Encoder, InputError, Step, Task, Views, at_least
from scanprior.nn.heads import classify, embed, features, spread


class InvertedPyramid(nn.Module):
    """Summarise what lies above each patch, and predict the next ``ahead`` rows below it.

    The context of the patch in row i is the patch itself and all rows above, each seen one
    neighbour wider than the one below it. A row's window is averaged over the patches that exist
    (windows are clipped at the edges, nothing is padded in), and a GRU reads the rows from the top
    down.
    """

    def __init__(self, inside: int, code: int, context: int, ahead: int):
        super().__init__()
        self.project = nn.Linear(inside, code)
        self.summarise = nn.GRU(code, context, batch_first=True)
        self.predict = nn.ModuleList(nn.Linear(context, code, bias=False) for _ in range(ahead))

    def forward(self, z: Float[Tensor, "b rows d *lateral"]) -> Float[Tensor, "b rows c *lateral"]:
        """The context of every patch."""
        rows, dims = z.shape[1], z.ndim - 3
        flat = z.flatten(0, 1)
        wider = []
        for width in range(rows):
            pool = nd.AvgPool[dims](2 * width + 1, 1, width, count_include_pad=False)
            wider.append(pool(flat).unflatten(0, z.shape[:2]))
        contexts = []
        for row in range(rows):
            seen = torch.stack([wider[row - above][:, above] for above in range(row + 1)], 1)
            sequence = (
                seen.flatten(3).permute(0, 3, 1, 2).flatten(0, 1)
            )  # (b * lateral, row + 1, d)
            _, last = self.summarise(sequence)
            contexts.append(last[0].unflatten(0, (len(z), -1)).transpose(1, 2))
        return torch.stack(contexts, 1).unflatten(-1, z.shape[3:])


@dataclass(frozen=True, kw_only=True)
class CPC(Task):
    """InfoNCE over the patches of one image: the one right patch among all its positions."""

    patch: int = 16
    """Side of a patch in voxels."""
    overlap: float = 0.5
    """How much of a patch its neighbour shows again."""
    ahead: int = 2
    """Rows predicted below each context."""
    code: int = 64
    """Length of a patch's embedding (the paper's code size is 1024)."""
    context: int = 128
    """Length of a context."""

    def __post_init__(self) -> None:
        at_least(1, patch=self.patch, ahead=self.ahead, code=self.code, context=self.context)
        if not 0 <= self.overlap < 1:
            raise InputError(f"overlap {self.overlap} is no share; use 0 or more, below 1.")

    def views(self, batch: Float[Tensor, "b c *s"], rng: torch.Generator) -> Views:
        """All patches, ``(b, n, c, *patch)`` row-major; target ``(b, d)``: the grid's sides.

        The patches are a fixed grid of the (randomly placed) crop: nothing more is drawn.
        """
        step = max(1, round(self.patch * (1 - self.overlap)))
        counts = [(side - self.patch) // step + 1 for side in batch.shape[2:]]
        if counts[0] <= 1 or min(counts) < 1:
            least = (self.patch + step, *[self.patch] * (len(counts) - 1))
            raise InputError(
                f"a crop of {'x'.join(map(str, batch.shape[2:]))} holds too few patches of "
                f"{self.patch} voxels to predict a row from the one above; use a crop of at least "
                f"{'x'.join(map(str, least))} or a smaller patch."
            )
        corners = nd.grid_corners(counts, [step] * len(counts)).to(batch.device)
        patches = nd.cut(batch, corners.expand(len(batch), -1, -1), [self.patch] * len(counts))
        return Views(patches, torch.tensor([counts] * len(batch), device=batch.device))

    def head(self, encoder: Encoder) -> nn.Module:
        return InvertedPyramid(features(encoder), self.code, self.context, self.ahead)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        assert isinstance(head, InvertedPyramid)
        codes = head.project(embed(encoder, views.inputs))  # (b, n, d)
        b, n, d = codes.shape
        grid = views.target[0].tolist()
        context = head(codes.unflatten(1, grid).movedim(-1, 2))  # (b, rows, c, *lateral)
        context = context.movedim(2, -1).flatten(2, -2)  # (b, rows, columns, c)
        rows, columns = context.shape[1:3]
        place = torch.arange(n, device=codes.device).view(rows, columns)
        steps: list[Step] = []
        for ahead, predict in enumerate(head.predict[: rows - 1], start=1):
            predicted = predict(context[:, :-ahead]).flatten(1, 2)  # (b, q, d)
            logits = predicted @ codes.transpose(1, 2) / math.sqrt(d)  # every position of the image
            target = place[ahead:].flatten().expand(b, -1)
            steps.append(classify(logits.flatten(0, 1), target.flatten()))
        accuracy = torch.stack([step.metrics["accuracy"] for step in steps]).mean()
        chance = torch.tensor(1 / n, device=codes.device)
        return Step(
            torch.stack([step.loss for step in steps]).mean(),
            {"accuracy": accuracy, "chance": chance, "spread": spread(codes.flatten(0, 1))},
        )
