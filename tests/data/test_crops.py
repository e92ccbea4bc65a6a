"""Crops are a pure function of seed and index, and lie where they say."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from scanprior.contracts import InputError
from scanprior.data.crops import Crops, fitting_crop, place
from scanprior.data.store import Store, Volume, write_array


@pytest.mark.parametrize("size", [(16, 16), (16, 16, 16), (40, 12, 40)])
def test_crop_is_a_function_of_seed_and_index(ball_store, size):
    a, b = (Crops(Store(ball_store), size, seed=7, length=9) for _ in range(2))
    assert a[3].shape == (1, *size)
    assert torch.equal(a[3], b[3])
    assert not torch.equal(a[3], a[4])


def test_label_lies_on_its_image(ball_store):
    crops = Crops(list(Store(ball_store)), (20, 20, 20), seed=1, length=12, labels=True)
    for image, label in (crops[i] for i in range(12)):
        if 0 < label.sum() < label.numel():
            assert image[0][label == 1].mean() > 1 > image[0][label == 0].mean()


def test_more_workers_change_nothing(ball_store):
    crops = Crops(list(Store(ball_store)), (8, 8, 8), seed=7, length=8)
    a, b = (torch.cat(list(DataLoader(crops, 2, num_workers=w))) for w in (0, 2))
    assert torch.equal(a, b)


def test_place_pads_small_volumes_and_stays_inside():
    rng = np.random.default_rng(0)
    for _ in range(50):
        source, target = place((5, 9), (8, 4), rng)
        assert [s.stop - s.start for s in source] == [t.stop - t.start for t in target] == [5, 4]
        assert target[0].stop <= 8
        assert source[1].stop <= 9


def test_small_volumes_are_surrounded_by_their_minimum(store_of):
    draw = np.random.default_rng(0)
    small = draw.normal(size=(2, 5, 12, 12)).astype(np.float16)
    small[0] -= 9  # as z-scores of a dark background
    volume = store_of(small)
    for i in range(8):
        crop = Crops([volume], (8, 12, 12), seed=0, length=8)[i].numpy()
        for channel, least in zip(crop, small.min((1, 2, 3)), strict=True):
            outside = [plane for plane in channel if (plane == least).all()]
            assert len(outside) == 3
            assert channel.min() == least
    assert Crops([volume], (12, 12), seed=0, length=1)[0].shape == (2, 12, 12)


@pytest.fixture
def store_of(tmp_path):
    def make(array: np.ndarray) -> Volume:
        (tmp_path / "volumes").mkdir()
        write_array(tmp_path / "volumes" / "small.image.b2nd", array)
        return Volume("small", tmp_path, {"shape": array.shape, "labelled": False})

    return make


def test_fitting_crop_is_held_by_the_volumes(ball_store):
    volumes = list(Store(ball_store))
    assert fitting_crop(volumes, 3, limit=64) == (24, 24, 24)
    assert fitting_crop(volumes, 2, limit=16) == (16, 16)
    assert fitting_crop(volumes, 2) == (24, 24)


def test_store_says_what_is_wrong(tmp_path, ball_store):
    with pytest.raises(InputError, match=r"scanprior prepare SOURCE .*\.$"):
        Store(tmp_path)
    with pytest.raises(InputError, match="no volume 'x'"):
        Store(ball_store).of(["x"])
