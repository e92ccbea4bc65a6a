"""The phantom: quick, varied, learnable, and not to be solved by brightness or by place alone."""

import json
import time

import numpy as np
import pytest
from scipy import ndimage

from scanprior.data import sources
from scanprior.data.files import read_image, read_label
from scanprior.data.phantom import coordinates, volume, write_decathlon
from scanprior.data.sources import SourceOptions


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def volumes():
    return [volume(0, i) for i in range(16)]


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_coordinates(shape):
    held = coordinates(shape)
    assert held.shape == (len(shape), *shape)
    assert held.dtype == np.float32
    for place in np.ndindex(*shape):
        assert tuple(held[(slice(None), *place)]) == place


def test_a_function_of_seed_and_number(volumes):
    for a, b in zip(volume(0, 3), volumes[3], strict=True):
        assert np.array_equal(a, b)
    other = volume(1, 3)[0]
    assert other.shape != volumes[3][0].shape or not np.array_equal(other, volumes[3][0])


def test_anatomy(volumes):
    assert len({image.shape for image, _ in volumes}) > 4
    for image, label in volumes:
        assert image.shape == label.shape
        assert (image.dtype, label.dtype) == (np.int16, np.uint8)
        assert all(30 <= side <= 56 for side in image.shape)
        sizes = np.bincount(label.ravel())
        assert len(sizes) == 3
        assert sizes[1:].min() > 150
        assert sizes[1:].sum() < 0.12 * label.size
        _, pieces = ndimage.label(label > 0)
        head, tail = (np.argwhere(label == k).mean(0) for k in (1, 2))
        assert head[1] > tail[1], "the head lies in front"
        assert (ndimage.binary_dilation(label == 1) & (label == 2)).any(), "they touch"
        assert pieces <= 3


@pytest.mark.slow
def test_neither_brightness_nor_place_gives_it_away(volumes):
    threshold, atlas = [], []
    for i, (image, label) in enumerate(volumes):
        body = label > 0
        low, high = np.percentile(image[body], (10, 90))
        smooth = ndimage.gaussian_filter(image.astype(float), 1)
        threshold.append(dice((smooth > low) & (smooth < high), body))
        # the mean of the others' label maps, stretched onto this one
        votes = [
            ndimage.zoom((other == 1).astype(float), np.divide(body.shape, other.shape), order=1)
            for j, (_, other) in enumerate(volumes)
            if j != i
        ]
        atlas.append(dice(np.mean(votes, 0) > 0.3, label == 1))
    assert np.mean(threshold) < 0.5
    assert 0.2 < np.mean(atlas) < 0.8


def test_written_layout_is_read_back(tmp_path, volumes):
    write_decathlon(tmp_path, labelled=3, unlabelled=2, seed=0)
    found = sources.find(tmp_path, None, SourceOptions())
    assert len(found) == 5
    assert sum(case.label is not None for case in found) == 3
    for number, case in enumerate(found[:3]):
        image = read_image([tmp_path / "imagesTr" / f"{case.id}.nii.gz"])
        label = read_label(tmp_path / "labelsTr" / f"{case.id}.nii.gz")
        assert np.array_equal(image.array[0], volumes[number][0])
        assert np.array_equal(label.array[0], volumes[number][1])
        assert image.spacing == (1, 1, 1)
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert (description["numTraining"], description["numTest"]) == (3, 2)
    again = tmp_path / "again"
    write_decathlon(again, labelled=3, unlabelled=2, seed=0)
    for path in sorted(again.rglob("*.nii.gz")):
        assert path.read_bytes() == (tmp_path / path.relative_to(again)).read_bytes()


@pytest.mark.slow
def test_hundred_volumes_in_ten_seconds(tmp_path):
    began = time.process_time()
    write_decathlon(tmp_path, labelled=60, unlabelled=40, seed=0)
    assert time.process_time() - began < 10
