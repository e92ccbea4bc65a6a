"""Scores of shapes whose distances are known by hand, and of nothing at all."""

import numpy as np
import pytest
from scipy import ndimage

from scanprior.contracts import InputError
from scanprior.metrics.segmentation import REGIONS, case_scores


def cube(shape=(24, 24, 24), start=(6, 6, 6), side=10, value=1):
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(slice(a, a + side) for a in start)] = value
    return array


@pytest.mark.parametrize(
    ("shape", "spacing"), [((24, 24, 24), (1.0, 1.0, 1.0)), ((24, 24), (0.5, 2.0))]
)
def test_identical(shape, spacing):
    one = cube(shape, (6,) * len(shape))
    assert case_scores(one, one, [1], spacing)["1"] == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_is_measured_in_mm_along_its_axis(axis):
    spacing = (3.0, 0.5, 1.0)
    start = [6, 6, 6]
    start[axis] += 2
    score = case_scores(cube(start=tuple(start)), cube(), [1], spacing)["1"]
    assert score.dice == pytest.approx(0.8)
    assert score.hd95 == pytest.approx(2 * spacing[axis])
    near = case_scores(cube(start=tuple(start)), cube(), [1], spacing, tolerance=2 * spacing[axis])
    assert near["1"].nsd == 1
    assert score.nsd < 1 or spacing[axis] == 0.5


def test_hd95_forgets_the_odd_voxel_but_not_a_tenth_of_the_surface():
    label = cube()
    speck = label.copy()
    speck[0, 0, 0] = 1
    assert case_scores(speck, label, [1], (1.0, 1.0, 1.0))["1"].hd95 == 0
    wall = label.copy()
    wall[:, 0, :] = 1
    assert case_scores(wall, label, [1], (1.0, 1.0, 1.0))["1"].hd95 > 5


def test_nsd_weighs_area_not_voxels():
    """A slab: its two faces hold most area; one of them is 2 mm off, the other in place."""
    label, found = np.zeros((2, 20, 100, 100), dtype=np.uint8)
    label[8:12], found[8:14] = 1, 1
    score = case_scores(found, label, [1], (1.0, 1.0, 1.0), tolerance=1.0)["1"]
    assert score.nsd == pytest.approx(0.56, abs=0.02)  # (1e4 - rim of 400) * 2 of 44000 are off
    # Voxels 8 mm high: the faces across the last axis, off after a shift, are 1600 of 3400 mm2, and
    # 0.43 of the surface is further than 1 mm. Counting voxels would give an NSD of 0.70.
    score = case_scores(cube(start=(6, 6, 8)), cube(), [1], (8.0, 1.0, 1.0))["1"]
    assert score.nsd == pytest.approx(0.57, abs=0.03)


def test_empty_classes_by_rule():
    label, nothing = cube(), np.zeros((24, 24, 24), dtype=np.uint8)
    spacing = (1.0, 2.0, 3.0)
    diagonal = 24 * np.sqrt(1 + 4 + 9)
    for pair in ((label, nothing), (nothing, label)):
        score = case_scores(*pair, [1], spacing)["1"]
        assert (score.dice, score.nsd) == (0, 0)
        assert score.hd95 == pytest.approx(diagonal)
    assert case_scores(nothing, nothing, [1, 2], spacing)["2"] == (1, 0, 1)


def test_classes_apart_and_no_background():
    label = cube() + cube(start=(17, 17, 17), side=5, value=2)
    scores = case_scores(np.where(label == 2, 0, label), label, [1, 2], (1.0, 1.0, 1.0))
    assert set(scores) == {"1", "2"}
    assert scores["1"].dice == 1
    assert scores["2"].dice == 0


def test_brats_regions_are_scored_as_one():
    label = cube(side=4, value=4) + cube(start=(12, 12, 12), side=4, value=2)
    confused = np.where(label == 4, 1, label)  # enhancing taken for necrosis: same core
    scores = case_scores(confused, label, REGIONS["brats"], (1.0, 1.0, 1.0))
    assert [scores[name].dice for name in ("ET", "TC", "WT")] == [0, 1, 1]
    label[0, 0, 0] = confused[0, 0, 0] = 1
    assert case_scores(label, label, REGIONS["brats"], (1.0, 1.0, 1.0))["TC"].dice == 1


def test_one_voxel_and_the_image_border():
    label = np.zeros((1, 5, 5), dtype=np.uint8)
    label[0, 0, 0] = 1
    found = np.zeros_like(label)
    found[0, 0, 4] = 1
    score = case_scores(found, label, [1], (1.0, 1.0, 0.5))["1"]
    assert score.dice == 0
    assert score.hd95 == pytest.approx(2.0)
    assert (
        case_scores(np.ones_like(label), np.ones_like(label), [1], (1.0, 1.0, 1.0))["1"].hd95 == 0
    )


def test_hd95_agrees_with_all_pairs():
    draw = np.random.default_rng(0)
    blobs = [ndimage.gaussian_filter(draw.normal(size=(16, 18, 20)), 3) > 0.02 for _ in range(2)]
    spacing = np.array([1.5, 1.0, 0.7])
    edges = [np.argwhere(b & ~ndimage.binary_erosion(b)) * spacing for b in blobs]
    apart = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=-1)
    expected = max(np.percentile(apart.min(1), 95), np.percentile(apart.min(0), 95))
    found, label = (b.astype(np.uint8) for b in blobs)
    assert case_scores(found, label, [1], tuple(spacing))["1"].hd95 == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize(
    ("shape", "spacing", "tolerance", "word"),
    [
        ((24, 24, 23), (1.0, 1.0, 1.0), 1.0, "resample"),
        ((24, 24, 24), (1.0, 1.0), 1.0, "spacing"),
        ((24, 24, 24), (1.0, 1.0, 0.0), 1.0, "spacing"),
        ((24, 24, 24), (1.0, 1.0, 1.0), -1.0, "tolerance"),
        ((24, 24, 24), (1.0, 1.0, 1.0), float("nan"), "tolerance"),
    ],
)
def test_refused(shape, spacing, tolerance, word):
    with pytest.raises(InputError, match=word):
        case_scores(np.zeros(shape, dtype=np.uint8), cube(), [1], spacing, tolerance)
