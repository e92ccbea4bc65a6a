"""What stands out is told by name; what merely varies is not."""

import numpy as np
import pytest

from scanprior.data.checks.seen import Seen
from scanprior.doctor.outliers import odd_intensities, odd_sizes, outliers


def one(i: int, **facts) -> Seen:
    usual = {
        "id": f"c{i:02}",
        "file": f"c{i:02}.nii",
        "patient": f"c{i:02}",
        "part": "train",
        "shape": (1, 30 + i % 5, 40, 50),
        "spacing": (2.0, 1.0, 1.0),
        "levels": ((0.0, 50.0 + i, 100.0 + i),),
    }
    return Seen(**(usual | facts))


def test_outliers():
    values = np.random.default_rng(0).normal(size=200)
    assert outliers(values.tolist(), 0.0) == []  # 5 robust deviations: one in two million
    values[17] = 9
    assert outliers(values.tolist(), 0.0) == [17]
    assert outliers(values.tolist(), 10.0) == []


def test_outliers_where_most_are_equal():
    assert outliers([1.0] * 9 + [1.3], 0.5) == []
    assert outliers([1.0] * 9 + [1.6], 0.5) == [9]


def test_outliers_do_not_hide_each_other():
    """Three of twelve: a mean and a standard deviation would take them in."""
    assert outliers([1.0, 1.1, 0.9] * 3 + [50.0, 60.0, 70.0], 0.0) == [9, 10, 11]


def test_a_usual_source():
    seen = [one(i) for i in range(20)]
    assert odd_sizes(seen) == odd_intensities(seen) == []


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        ({"shape": (1, 3, 40, 50)}, "odd shape"),
        ({"shape": (1, 30, 40, 512)}, "odd shape"),
        ({"spacing": (2.0, 1.0, 10.0)}, "odd spacing"),
    ],
)
def test_sizes(facts, check):
    seen = [one(i) for i in range(12)]
    (finding,) = odd_sizes([*seen, one(20, **facts)])
    assert (finding.check, finding.cases) == (check, ("c20",))


def test_few_cases_have_no_outliers():
    assert odd_sizes([*(one(i) for i in range(4)), one(5, shape=(1, 3, 40, 50))]) == []


@pytest.mark.parametrize("levels", [(0.0, 50.0, 5000.0), (0.0, 0.1, 0.2), (900.0, 950.0, 1000.0)])
def test_intensities(levels):
    (finding,) = odd_intensities([*(one(i) for i in range(12)), one(20, levels=(levels,))])
    assert (finding.check, finding.cases) == ("odd intensities", ("c20",))


def test_second_channel_stands_out():
    usual = ((0.0, 50.0, 100.0), (0.0, 5.0, 10.0))
    seen = [one(i, levels=usual) for i in range(12)]
    (finding,) = odd_intensities([*seen, one(20, levels=(usual[0], (0.0, 500.0, 1000.0)))])
    assert finding.cases == ("c20",)


def test_what_many_odd_ones_differ_in_is_named():
    seen = [one(i) for i in range(20)]
    other = [one(i, levels=((500.0, 550.0, 600.0),)) for i in range(20, 26)]
    (finding,) = odd_intensities([*seen, *other])
    assert "(brightness from 550 in c20 to 550 in " in finding.sentence
    assert "usual is 62.5)" in finding.sentence


def test_many_odd_ones_are_one_finding():
    seen = [one(i) for i in range(20)]
    other = [one(i, levels=((0.0, 5e5, 1e6),)) for i in range(20, 26)]
    (finding,) = odd_intensities([*seen, *other])
    assert finding.check == "several scales"
    assert finding.sentence.startswith(
        "6 of 26 images are on another scale than most (contrast from 1e+06 in c20 to 1e+06 in "
    )
    assert "usual is 112)" in finding.sentence


def test_one_odd_image_of_few_is_that_image():
    (finding,) = odd_intensities([*(one(i) for i in range(8)), one(20, levels=((0.0, 5e5, 1e6),))])
    assert (finding.check, finding.cases) == ("odd intensities", ("c20",))


def test_scans_of_each_number_of_channels_are_compared_among_themselves():
    """One photograph in colour among grey ones must not switch the check off for all."""
    two = ((0.0, 50.0, 100.0), (0.0, 5.0, 10.0))
    seen = [*(one(i) for i in range(12)), *(one(30 + i, levels=two) for i in range(12))]
    faint = (two[0], (0.0, 0.05, 0.1))
    odd = [one(20, levels=((0.0, 50.0, 5000.0),)), one(50, levels=faint)]
    alone = one(60, levels=(*two, two[0]))
    found = odd_intensities([*seen, *odd, alone])
    assert [finding.cases for finding in found] == [("c20",), ("c50",)]


def test_scans_of_each_number_of_axes_are_compared_among_themselves():
    seen = [one(i) for i in range(12)]
    slice_ = one(20, shape=(1, 40, 50), spacing=None)
    (finding,) = odd_sizes([*seen, slice_, one(21, shape=(1, 3, 40, 50))])
    assert finding.cases == ("c21",)
