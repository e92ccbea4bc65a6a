"""The geometry that 2D and 3D share, against slow and obvious references."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from scanprior import nd
from tests.conftest import rng


@pytest.mark.parametrize(
    ("dims", "single", "count"), [(2, True, 4), (2, False, 4), (3, True, 10), (3, False, 24)]
)
def test_rotations_are_distinct_and_start_with_identity(dims, single, count):
    turns = nd.rotations(dims, single_axis=single)
    x = torch.arange(3**dims).reshape([3] * dims)
    assert len(turns) == count
    assert len({tuple(nd.rotate(x, t).flatten().tolist()) for t in turns}) == count
    assert torch.equal(nd.rotate(x, turns[0]), x)


def test_the_ten_rotations_are_those_of_rot90():
    x = torch.arange(27).reshape(3, 3, 3)
    ours = {tuple(nd.rotate(x, t).flatten().tolist()) for t in nd.rotations(3)}
    theirs = {
        tuple(torch.rot90(x, k, plane).flatten().tolist())
        for k in range(4)
        for plane in itertools.combinations(range(3), 2)
    }
    assert ours == theirs


@pytest.mark.parametrize("dims", [2, 3])
def test_cut_takes_what_slicing_takes(dims):
    x = torch.randn(2, 3, *(9, 8, 7)[:dims], generator=rng())
    size = (4, 3, 2)[:dims]
    corners = torch.stack(
        [
            torch.randint(0, s - p + 1, (2, 5), generator=rng(1))
            for s, p in zip(x.shape[2:], size, strict=True)
        ],
        -1,
    )
    got = nd.cut(x, corners, size)
    for b, n in itertools.product(range(2), range(5)):
        box = tuple(slice(int(c), int(c) + p) for c, p in zip(corners[b, n], size, strict=True))
        assert torch.equal(got[b, n], x[(b, slice(None), *box)])


def test_grid_corners_are_row_major():
    assert nd.grid_corners([2, 2], [5, 3]).tolist() == [[0, 0], [0, 3], [5, 0], [5, 3]]


@pytest.mark.parametrize("dims", [2, 3])
def test_affine_by_the_identity_changes_nothing(dims):
    x = torch.randn(2, 1, *[6] * dims, generator=rng())
    matrix = torch.eye(dims, dims + 1).expand(2, -1, -1)
    assert torch.allclose(nd.affine(x, matrix), x, atol=1e-5)


def test_turn_is_a_rotation_in_its_plane():
    matrix = nd.turn(torch.tensor([0, 1, 2]), torch.tensor([0.3, 0.3, 0.3]), 3)
    assert torch.allclose(
        matrix @ matrix.transpose(1, 2), torch.eye(3).expand(3, -1, -1), atol=1e-6
    )
    assert torch.allclose(torch.linalg.det(matrix), torch.ones(3))
    assert matrix[0, 2, 2] == 1
    assert matrix[2, 0, 0] == 1


@pytest.mark.parametrize("shape", [(9, 7), (6, 8, 7)])
def test_the_box_around_a_mask(shape):
    draw = np.random.default_rng(0)
    for share in (0.5, 0.03, 0.01, 0.0):
        for _ in range(20):
            mask = draw.uniform(size=shape) < share
            found = ndimage.find_objects(mask.astype(np.uint8))
            whole = tuple(slice(0, side) for side in shape)
            assert nd.bounding_box(mask) == (found[0] if found else whole)
            assert nd.bounding_box(mask.T[::-1]) == nd.bounding_box(mask.T[::-1].copy())
