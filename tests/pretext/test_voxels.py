"""Voxel contrast: what is asked, of which levels, and what there is to know."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scanprior import draws
from scanprior.contracts import InputError, Learner, Views
from scanprior.nn.augment import Augment
from scanprior.pretext.voxels import Voxels, sampled
from tests.conftest import TinyEncoder, rng

STILL = Augment(affine=0.0, contrast=0.0, gamma=0.0, noise=0.0)


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
    views = Voxels(points=50, offset=0.0, augment=STILL).views(torch.zeros(4, 1, 32, 32), rng())
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
    with pytest.raises(InputError, match=r"^offset 0\.3 .* up to 2: .* from 0 to 0\.25,"):
        Voxels(offset=0.3, augment=Augment(scaling=(0.5, 2.0)))


def test_versions_are_shifted_along_each_axis_by_itself():
    at = Voxels(augment=STILL).views(torch.zeros(64, 1, 16, 16, 16), rng()).target
    moved = (at[:, 1] - at[:, 0]).mean(1)  # nothing turns: all places of a crop move alike
    assert moved.std(0).min() > 0.1
    assert moved.abs().max() < 0.4
    assert torch.corrcoef(moved.T).triu(1).abs().max() < 0.5


def test_places_lie_in_the_crop_too():
    task = Voxels(offset=0.5, augment=Augment(affine=1.0, rotation=0.0, scaling=(0.5, 1.0)))
    ramp = torch.linspace(-31 / 32, 31 / 32, 32).expand(8, 1, 32, 32)
    still = dataclasses.replace(task.augment, contrast=0.0, gamma=0.0, noise=0.0)
    inputs, at = dataclasses.replace(task, augment=still).views(ramp.contiguous(), rng())
    there = F.grid_sample(inputs[:, 0], at[:, :1], padding_mode="border", align_corners=False)
    # beyond the crop a version repeats its last column: a fifth of all places would read it
    assert (there.abs() > 30.5 / 32).float().mean() < 0.1


def test_shares_of_a_batch_are_the_whole_batch():
    x, task = torch.randn(6, 1, 12, 14, 10), Voxels(points=9)

    def drawn(first: int, last: int) -> Views:
        at = draws.rng_of(0, 0, device=x.device, first=first, total=6)
        return task.views(x[first:last], at)

    whole = drawn(0, 6)
    for first, last in ((0, 2), (2, 6)):
        share = drawn(first, last)
        torch.testing.assert_close(share.inputs, whole.inputs[first:last], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(share.target, whole.target[first:last], rtol=1e-5, atol=1e-5)


def test_versions_are_recoloured_each_in_its_own_way():
    moves = dataclasses.replace(STILL, contrast=1.0)
    inputs, _ = Voxels(offset=0.0, augment=moves).views(torch.randn(4, 1, 24, 24), rng())
    assert (inputs.std((2, 3, 4))[:, 0] - inputs.std((2, 3, 4))[:, 1]).abs().min() > 1e-3


def test_the_loss_is_infonce_either_way_round():
    task, encoder = Voxels(points=6, temperature=0.3), TinyEncoder(2)
    torch.manual_seed(0)
    head = task.head(encoder)
    inputs, at = task.views(torch.randn(1, 1, 24, 24), rng())
    with torch.no_grad():
        one, other = (
            F.normalize(head(sampled(encoder(inputs[:, v]), at[:, v])), dim=-1)[0] for v in (0, 1)
        )
    terms = [
        -math.log(math.exp(a[i] @ b[i] / 0.3) / sum(math.exp(a[i] @ z / 0.3) for z in b))
        for a, b in ((one, other), (other, one))
        for i in range(6)
    ]
    assert task.loss(encoder, head, Views(inputs, at)).loss.item() == pytest.approx(
        sum(terms) / 12, rel=1e-5
    )


def test_a_place_taken_twice_is_no_negative_of_itself():
    task, encoder = Voxels(points=4), TinyEncoder(2)
    head = task.head(encoder)
    inputs, at = task.views(torch.randn(1, 1, 24, 24), rng())
    twice = at[:, :, [0, 0, 0, 0]]
    assert task.loss(encoder, head, Views(inputs, twice)).loss.item() == pytest.approx(0, abs=1e-6)


def test_who_knows_only_where_a_voxel_lies_is_seldom_right():
    at = Voxels().views(torch.zeros(40, 1, 32, 48, 32), rng()).target
    voxels = at * torch.tensor([32.0, 48, 32]) / 2
    nearest = torch.cdist(voxels[:, 0], voxels[:, 1]).argmin(-1)
    right = (nearest == torch.arange(128)).float().mean()
    assert 0.1 < right < 0.2  # the docstring says 15 of 100
