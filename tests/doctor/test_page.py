"""The page is self-contained, escapes everything, and its pictures show what they should."""

import base64
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.data.checks.findings import Finding, counts, ordered
from scanprior.doctor.page import page
from scanprior.doctor.picture import SIDE, thumbnail

EVIL = "<script>alert('x')</script>\"&"


def pixels(picture: str) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(picture))))


def test_every_string_is_escaped():
    finding = Finding(EVIL, "error", EVIL, EVIL, (EVIL, "b", "c"))
    text = page(EVIL, EVIL, [finding], {EVIL: 'AA"><script>', "b": None})
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert "b: nothing to show" in text
    assert 'alt="c"' not in text  # beyond the number of pictures


def test_it_fetches_nothing():
    text = page("a", "b", [Finding("x", "warning", "f", "s", ("a",))], {"a": "AAAA"})
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    assert 'src="data:image/png;base64,AAAA"' in text


def test_order_and_counts():
    found = [
        Finding("b", "warning", "1", "s"),
        Finding("a", "warning", "2", "s"),
        Finding("z", "error", "3", "s"),
        Finding("a", "warning", "1", "s"),
    ]
    assert [f.check + f.file for f in ordered(found)] == ["z3", "a1", "a2", "b1"]
    assert list(counts(found).items()) == [("z", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize("shape", [(1, 30, 60), (3, 30, 60), (1, 5, 30, 60), (4, 5, 30, 60)])
def test_thumbnail_has_the_scans_proportions(shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert pixels(thumbnail(array)).shape == (SIDE // 2, SIDE, 3)
    tall = pixels(thumbnail(array, None, (1.0,) * (len(shape) - 3) + (4.0, 1.0)))
    assert tall.shape == (SIDE, SIDE // 2, 3)


def test_the_slice_with_most_label_is_shown_and_tinted():
    array = np.zeros((1, 6, 8, 8), np.float32)
    array[0, 1:, 0, 0] = 1  # some contrast
    label = np.zeros((6, 8, 8), np.uint8)
    label[4, 2:6, 2:6] = 1
    shown = pixels(thumbnail(array, label))
    middle, corner = shown[SIDE // 2, SIDE // 2], shown[-3, -3]
    assert middle[0] > 90 > middle[1]
    assert corner.max() < 5


def test_a_label_of_another_shape_is_beside():
    array = np.random.default_rng(0).normal(size=(1, 6, 40, 40)).astype(np.float32)
    shown = pixels(thumbnail(array, np.ones((6, 40, 20), np.uint8)))
    assert shown.shape[1] > 1.4 * shown.shape[0]


def test_nan_is_magenta():
    array = np.zeros((1, 8, 8), np.float32)
    array[0, :4] = np.nan
    shown = pixels(thumbnail(array))
    assert shown[10, 10].tolist() == [255, 0, 255]
    assert shown[-10, -10].tolist() == [0, 0, 0]
    assert pixels(thumbnail(np.full((1, 4, 4), np.inf, np.float32)))[3, 3].tolist() == [255, 0, 255]
