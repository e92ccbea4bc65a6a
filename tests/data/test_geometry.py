"""Wherever a source's voxels lie, a box comes back to where it was drawn."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from scanprior.contracts import InputError
from scanprior.data import geometry
from scanprior.data.files import read_affine, read_image, read_label, write_label
from scanprior.data.image import Image, spacing_of
from scanprior.data.prepare import Prepare, apply_steps

SHAPE = (18, 22, 26)
ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def affine_of(order, signs, sizes=(1.0, 1.0, 1.0), degrees=0.0):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * np.array(signs) * np.array(sizes)
    turn, a = np.eye(4), np.deg2rad(degrees)
    turn[:3, :3] = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    affine = turn @ tilt @ affine
    affine[:3, 3] = (12.0, -7.0, 31.0)
    return affine


def image_of(affine, shape=SHAPE, seed=0):
    array = np.random.default_rng(seed).normal(50, 10, (1, *shape)).astype(np.float32)
    return Image(array, affine, spacing_of(affine))


def box_in(shape):
    """No symmetry: a flip or a swap of axes cannot go unseen."""
    label = np.zeros(shape, np.uint8)
    d, h, w = shape
    label[d // 6 : d // 2, h // 4 : h - 4, w // 2 : w - 3] = 1
    label[d // 2 : d - 3, 3 : h // 2, 2 : w // 3] = 2
    return label


def one_hot(label, classes=3):
    return np.stack([label == k for k in range(classes)]).astype(np.float32)


def recipe(tmp_path, **settings):
    return Prepare(source=tmp_path, store=tmp_path / "store", **settings)


def there_and_back(image, label, steps, spacing=None):
    done = apply_steps(steps, image, Image(label[None], image.affine, image.spacing), spacing)
    assert done.label is not None
    assert done.label.shape == done.image.shape
    assert set(np.unique(done.label.array)) <= {0, 1, 2}  # never interpolated
    return done, geometry.to_source(one_hot(done.label.array[0]), done.geometry)


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.floats(0.4, 4)] * 3),
    st.floats(-25, 25),
    st.integers(0, 99),
)
def test_orientation_is_exact(tmp_path_factory, orientation, sizes, degrees, seed):
    affine = affine_of(*orientation, sizes, degrees)
    image = image_of(affine, seed=seed)
    label = box_in(SHAPE)
    done, back = there_and_back(image, label, recipe(tmp_path_factory.getbasetemp()))
    assert np.array_equal(back, label)
    axes = nib.orientations.aff2axcodes(done.image.affine)
    assert axes == ("R", "A", "S")
    # The same voxel lies at the same place in the body, before and after.
    at = np.array([3, 5, 7])
    before = np.array(done.geometry["matrix"]) @ [*at, 1]
    x, y, z = np.rint(before[:3]).astype(int)
    assert geometry.to_ras(image)[0].array[0, at[2], at[1], at[0]] == image.array[0, z, y, x]
    assert np.allclose(done.image.affine @ [*at, 1], affine @ before)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(0.6, 2.5)] * 3))
def test_resampled_box_is_where_it_was_drawn(tmp_path_factory, orientation, sizes):
    image = image_of(affine_of(*orientation, sizes, 12.0))
    label = box_in(SHAPE)
    steps = recipe(tmp_path_factory.getbasetemp())
    done, back = there_and_back(image, label, steps, spacing=(0.5, 0.5, 0.5))
    assert np.allclose(done.image.spacing, 0.5, rtol=2e-4)
    assert back.shape == label.shape
    for value in (1, 2):
        # Nearest labels may lose a voxel's edge, but must not drift to one side.
        assert dice(back == value, label == value) > 0.95
        apart = np.argwhere(back == value).mean(0) - np.argwhere(label == value).mean(0)
        assert np.abs(apart).max() < 0.2


@pytest.mark.parametrize("sizes", [(1, 1, 1), (0.8, 1.7, 3.1)])
@pytest.mark.parametrize("degrees", [0, 17])
def test_cropped_and_resized(tmp_path, sizes, degrees):
    image = image_of(affine_of((2, 0, 1), (-1, 1, -1), sizes, degrees))
    bright = np.zeros_like(image.array)
    inner = (slice(None), slice(2, 16), slice(3, 20), slice(1, 24))
    bright[inner] = image.array[inner]
    image = Image(bright, image.affine, image.spacing)
    label = box_in(SHAPE)
    label[~(bright[0] > 0)] = 0
    done, back = there_and_back(image, label, recipe(tmp_path, crop_foreground=True))
    assert sorted(done.image.shape) == sorted((14, 17, 23))
    assert np.array_equal(back, label)
    done, back = there_and_back(
        image, label, recipe(tmp_path, crop_foreground=True, shape=(40, 40, 40))
    )
    assert done.image.shape == (40, 40, 40)
    for value in (1, 2):
        assert dice(back == value, label == value) > 0.98


def test_what_was_cropped_away_is_background(tmp_path):
    array = np.zeros((1, *SHAPE), np.float32)
    array[0, 5:10, 6:12, 7:20] = np.random.default_rng(0).uniform(1, 2, (5, 6, 13))
    done = apply_steps(
        recipe(tmp_path, crop_foreground=True), Image(array, np.eye(4), (1.0,) * 3), None, None
    )
    everything = np.stack([np.zeros(done.image.shape), np.ones(done.image.shape)])
    back = geometry.to_source(everything.astype(np.float32), done.geometry)
    assert np.array_equal(back, (array[0] > 0).astype(np.uint8))


def test_photographs_come_back_too(tmp_path):
    array = np.random.default_rng(0).uniform(1, 9, (3, 60, 90)).astype(np.float32)
    label = np.zeros((60, 90), np.uint8)
    label[5:30, 50:80] = 1
    done, back = there_and_back(
        Image(array, None, (1.0, 1.0)), label, recipe(tmp_path, shape=(120, 120))
    )
    assert done.image.array.shape == (3, 120, 120)
    assert done.geometry["affine_before"] is None
    assert dice(back == 1, label == 1) > 0.98


def test_resampling_keeps_a_ramp_in_place():
    z = np.arange(30, dtype=np.float32)
    image = Image(np.broadcast_to(z[:, None, None], (30, 8, 8))[None], np.eye(4), (1.0,) * 3)
    for order in (1, 3):
        fine, step = geometry.resample(image, (0.5, 1.0, 1.0), order)
        assert fine.shape == (60, 8, 8)
        # voxel j of the finer grid has its centre at (j + 1/2) / 2 - 1/2 of the coarser
        assert fine.array[0, 20:40, 4, 4] == pytest.approx(np.arange(20, 40) / 2 - 0.25, abs=1e-3)
        assert (step @ [0, 0, 20, 1])[2] == pytest.approx(9.75)


@pytest.mark.parametrize("degrees", [0, 20])
def test_written_labels_lie_in_the_sources_grid(tmp_path, degrees):
    affine = affine_of((1, 2, 0), (1, -1, -1), (0.7, 1.3, 2.9), degrees)
    label = box_in(SHAPE)
    write_label(tmp_path / "out.nii.gz", label, affine)
    image = nib.load(tmp_path / "out.nii.gz")
    assert image.shape == SHAPE[::-1]
    assert np.allclose(image.affine, affine, atol=1e-5)
    assert np.array_equal(read_label(tmp_path / "out.nii.gz").array[0], label)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_simpleitk_and_nibabel_agree_on_where_voxels_are(tmp_path, ending):
    affine = affine_of((1, 0, 2), (-1, 1, 1), (0.7, 1.3, 2.9), 10)
    array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(array.T, affine), tmp_path / "a.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")), str(tmp_path / f"a{ending}"))
    image = read_image([tmp_path / f"a{ending}"])
    assert np.allclose(image.affine, affine, atol=1e-4)
    assert np.allclose(read_affine(tmp_path / f"a{ending}"), affine, atol=1e-4)
    assert np.array_equal(image.array[0], array)
    assert image.spacing == pytest.approx((2.9, 1.3, 0.7), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "spacing", "says"),
    [({}, (1.0, 1.0), "3 numbers"), ({"shape": (9, 9)}, None, "3 numbers")],
)
def test_a_recipe_of_another_dimension_is_refused(tmp_path, settings, spacing, says):
    with pytest.raises(InputError, match=says):
        apply_steps(recipe(tmp_path, **settings), image_of(np.eye(4)), None, spacing)


def test_spacing_of_a_header_is_in_the_order_of_the_turned_array():
    affine = affine_of((2, 0, 1), (1, -1, 1), (0.5, 2.0, 3.0), 9)
    turned, _ = geometry.to_ras(image_of(affine))
    assert geometry.ras_spacing(affine) == pytest.approx(turned.spacing)
