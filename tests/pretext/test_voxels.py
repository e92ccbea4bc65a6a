"""Voxel contrast: what is asked, of which levels, and what there is to know."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scanprior.contracts import InputError, Learner, Views
from scanprior.nn.augment import Augment
from scanprior.pretext.voxels import Voxels, sampled
from tests.conftest import TinyEncoder, rng


class Places(nn.Module):
    """Levels that hold their own coordinates: what is read at a place is where it is."""

    spatial_dims, in_channels, channels, strides = 2, 1, (2, 2), (1, 2)

    def forward(self, x):
        def level(stride):
            sides = [side // stride for side in x.shape[2:]]
            return F.affine_grid(torch.eye(2, 3)[None], [1, 1, *sides], align_corners=False)

        return [level(s).permute(0, 3, 1, 2).expand(len(x), -1, -1, -1) for s in self.strides]


def test_every_level_is_read_where_the_voxel_lies():
    at = torch.rand(3, 7, 2) * 1.6 - 0.8
    found = sampled(Places()(torch.zeros(3, 1, 20, 30)), at)
    assert torch.allclose(found, torch.cat([at, at], -1), atol=1e-5)


def test_it_is_answered_by_who_knows_the_places_and_at_chance_by_who_does_not():
    task, head = Voxels(points=50, temperature=0.01), nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():  # the plane onto a sphere: directions tell places apart
        head[0].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
        head[0].bias.copy_(torch.tensor([0.0, 0, 1]))
    still = Augment(affine=0.0, contrast=0.0, gamma=0.0, noise=0.0)
    views = Voxels(points=50, offset=0.0, augment=still).views(torch.zeros(4, 1, 32, 32), rng())
    assert task.loss(Places(), head, views).metrics["accuracy"] == 1
    mixed = views.target.clone()
    mixed[:, 1] = mixed[:, 1, torch.randperm(50, generator=rng())]
    assert task.loss(Places(), head, Views(views.inputs, mixed)).metrics["accuracy"] < 0.1


def test_the_loss_of_embeddings_that_are_all_the_same_is_that_of_guessing():
    task, encoder = Voxels(points=32), TinyEncoder(2)
    head = nn.Linear(24, 5)
    nn.init.zeros_(head.weight)
    step = task.loss(encoder, head, task.views(torch.randn(2, 1, 24, 24), rng()))
    assert step.loss.item() == pytest.approx(math.log(32), rel=1e-5)
    assert step.metrics["spread"] < 1e-3


@pytest.mark.parametrize("dims", [2, 3])
def test_every_level_is_taught_directly(dims):
    seen = []

    class Kept(TinyEncoder):
        def forward(self, x):
            fine, coarse = super().forward(x)
            seen[:] = [fine.detach().requires_grad_(), coarse.detach().requires_grad_()]
            return seen

    Learner(Voxels(), Kept(dims))(torch.randn(2, 1, *[24] * dims), rng()).loss.backward()
    assert all(level.grad.abs().sum() > 0 for level in seen)


def test_negatives_are_places_of_the_same_crop():
    task, encoder = Voxels(points=16), TinyEncoder(2)
    torch.manual_seed(0)
    head = task.head(encoder)
    views = task.views(torch.randn(3, 1, 24, 24), rng())
    alone = [
        task.loss(encoder, head, Views(views.inputs[i : i + 1], views.target[i : i + 1])).loss
        for i in range(3)
    ]
    together = task.loss(encoder, head, views).loss
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_an_offset_that_could_leave_nothing_in_common_is_refused_with_the_largest():
    with pytest.raises(InputError, match=r"^offset 0\.3 .* from 0 to 0\.25,"):
        Voxels(offset=0.3, augment=Augment(scaling=(0.5, 2.0)))
