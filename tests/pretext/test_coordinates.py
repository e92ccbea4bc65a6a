"""Voxels hold their own coordinates: the answer can be read off what the encoder is shown."""

import pytest
import torch
import torch.nn.functional as F

from scanprior import nd
from scanprior.nn.augment import Augment
from scanprior.pretext.cpc import CPC
from scanprior.pretext.jigsaw import Jigsaw, distant_permutations
from scanprior.pretext.rotation import Rotation
from scanprior.pretext.rpl import RelativePatchLocation
from scanprior.pretext.voxels import Voxels
from tests.conftest import rng


def coordinates(b: int, *sides: int) -> torch.Tensor:
    axes = torch.meshgrid(*[torch.arange(float(side)) for side in sides], indexing="ij")
    return torch.stack(axes).expand(b, -1, *[-1] * len(sides)).contiguous()


@pytest.mark.parametrize("sides", [(20, 20), (20, 24), (20, 20, 20), (22, 20, 26)])
def test_rotation_can_be_undone(sides):
    x = coordinates(6, *sides)
    dims = len(sides)
    turns = nd.rotations(dims)
    inputs, target = Rotation(versions=3).views(x, rng(1))
    assert all(len(set(row.tolist())) == 3 for row in target)
    for image, k in zip(inputs.flatten(0, 1), target.flatten().tolist(), strict=True):
        order, flips = turns[k]
        back = image.flip([1 + i for i, f in enumerate(flips) if f])
        back = back.permute(0, *(1 + order.index(a) for a in range(dims)))
        for axis in range(dims):  # upright again: each channel grows by one a voxel along its axis
            assert (back[axis].diff(dim=axis) == 1).all()
            assert back[axis].min() >= 0
            assert back[axis].max() < sides[axis]


@pytest.mark.parametrize("sides", [(40, 40), (40, 52), (40, 40, 40), (40, 46, 52)])
def test_rpl_label_is_where_the_query_lies(sides):
    inputs, target = RelativePatchLocation(queries=5).views(coordinates(16, *sides), rng(1))
    places = torch.cartesian_prod(*[torch.arange(-1, 2)] * len(sides))
    places = places[(places != 0).any(1)]  # every cell but the middle one, row-major
    centre = inputs.flatten(3).mean(-1)  # (b, 1 + q, channels = coordinates)
    offset = centre[:, 1:] - centre[:, :1]
    cell = torch.tensor([side // 3 - max(1, side // 24) for side in sides])
    assert torch.equal((offset / cell).round().long(), places[target])
    assert not torch.equal(offset[0], (places[target[0]] * cell).float()), "no jitter"


@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize("sides", [(40, 40), (40, 46, 52)])
def test_permutation_can_be_read_off_the_patches(sides, grid):
    count = 20
    task = Jigsaw(grid=grid, permutations=count)
    inputs, target = task.views(coordinates(8, *sides), rng(2))
    orders = distant_permutations(grid ** len(sides), count)
    centre = inputs.flatten(3).mean(-1)
    low, high = centre.min(1, keepdim=True).values, centre.max(1, keepdim=True).values
    cell = ((centre - low) / (high - low) * (grid - 1)).round().long()
    number = (cell * grid ** torch.arange(len(sides)).flip(0)).sum(-1)
    assert torch.equal(number, orders[target])


@pytest.mark.parametrize("sides", [(40, 48), (40, 40, 48)])
def test_cpc_patches_overlap_by_half_in_row_major_order(sides):
    inputs, target = CPC(patch=16).views(coordinates(2, *sides), rng())
    grid = target[0].tolist()
    assert grid == [(side - 16) // 8 + 1 for side in sides]
    corner = inputs.flatten(3).min(-1).values
    assert torch.equal(corner[0], nd.grid_corners(grid, [8] * len(sides)).float())


@pytest.mark.parametrize("name", ["rpl", "jigsaw"])
def test_the_grid_starts_at_random(name):
    task = {"rpl": RelativePatchLocation(jitter=0), "jigsaw": Jigsaw(jitter=0)}[name]
    inputs, _ = task.views(coordinates(64, 48, 48), rng())
    middle = inputs.flatten(3).mean(-1).mean(1)
    assert len(middle.unique(dim=0)) > 4


@pytest.mark.parametrize("sides", [(40, 52), (30, 46, 38)])
def test_voxels_are_the_same_in_both_versions(sides):
    moves = Augment(
        affine=1.0, rotation=25.0, scaling=(0.7, 1.3), contrast=0.0, gamma=0.0, noise=0.0
    )
    x = coordinates(5, *sides)
    inputs, at = Voxels(augment=moves).views(x, rng(3))
    places = at.unflatten(2, (-1, *[1] * (len(sides) - 1)))
    one, other = (
        F.grid_sample(inputs[:, v], places[:, v], align_corners=False).flatten(2) for v in (0, 1)
    )
    # at a version's border, and where it repeats the crop's, voxels do not hold their coordinates
    far = torch.tensor(sides)[:, None] - 4
    inner = ((one > 3) & (one < far)).all(1) & (at.abs() < 0.9).all(-1).all(1)
    assert inner.float().mean() > 0.4
    assert (one - other).abs().amax(1)[inner].max() < 0.01
    assert (at[:, 0] - at[:, 1]).abs().max() > 0.2, "the versions are the same"
    assert at.abs().max() < 1


def test_voxels_that_few_versions_share_are_taken_again():
    zoom = Augment(affine=1.0, rotation=90.0, scaling=(0.2, 5.0))
    _, at = Voxels(offset=0.1, augment=zoom).views(torch.randn(16, 1, 24, 24), rng())
    assert at.abs().max() < 1
    assert min(len(row.unique(dim=0)) for row in at[:, 0]) < 128
