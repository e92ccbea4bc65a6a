"""The same image twice, the same patient twice, whatever links them."""

import pytest

from scanprior.data.checks.duplicates import duplicates, patients
from scanprior.data.checks.seen import Seen


def one(name: str, **facts) -> Seen:
    return Seen(**({"id": name, "file": f"{name}.png", "patient": name, "part": "train"} | facts))


def test_none():
    assert duplicates([one("a", bytes="1", voxels="x"), one("b", bytes="2", voxels="y")]) == []
    assert duplicates([one("a"), one("b")]) == []  # nothing is known of either


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ({"bytes": "1", "voxels": "x"}, {"bytes": "1", "voxels": "x"}, "byte for byte"),
        ({"bytes": "1", "voxels": "x"}, {"bytes": "2", "voxels": "x"}, "voxel for voxel"),
        ({"bytes": "1"}, {"bytes": "1"}, "byte for byte"),  # neither can be read
    ],
)
def test_how_they_are_equal(first, second, how):
    (finding,) = duplicates([one("b", **second), one("a", **first)])
    assert (finding.check, finding.severity) == ("duplicates", "warning")
    assert finding.cases == ("a", "b")
    assert how in finding.sentence


def test_grades_that_disagree():
    (finding,) = duplicates([one("a", bytes="1", grade=2), one("b", bytes="1", grade=3)])
    assert (finding.check, finding.severity) == ("duplicates that disagree", "error")
    assert "graded 2, 3" in finding.sentence


def test_a_copy_without_a_grade_has_none_to_tell():
    graded = [one("a", bytes="1", grade=2), one("c", bytes="1", grade=0)]
    (finding,) = duplicates([*graded, one("b", bytes="1")])
    assert "graded 2, 0;" in finding.sentence


def test_label_maps_that_disagree():
    (finding,) = duplicates([one("a", voxels="x", label="p"), one("b", voxels="x", label="q")])
    assert finding.check == "duplicates that disagree"
    (same,) = duplicates([one("a", voxels="x", label="p"), one("b", voxels="x", label=None)])
    assert same.check == "duplicates"  # a copy without a label map contradicts nothing


def test_across_splits():
    (finding,) = duplicates([one("a", voxels="x"), one("b", voxels="x", part="test")])
    assert (finding.check, finding.severity) == ("duplicates across splits", "error")
    assert "test and train" in finding.sentence
    (kept,) = duplicates([one("a", voxels="x"), one("b", voxels="x", part="unlabelled")])
    assert kept.check == "duplicates"


def test_both_at_once():
    pair = [one("a", voxels="x", grade=0), one("b", voxels="x", grade=1, part="val")]
    assert {f.check for f in duplicates(pair)} == {
        "duplicates that disagree",
        "duplicates across splits",
    }


def test_a_third_links_two():
    """a and c share bytes with nobody else, but both share something with b."""
    seen = [
        one("a", bytes="1", voxels="x"),
        one("c", bytes="2", voxels="y"),
        one("d", bytes="9", voxels="z"),
        one("e", bytes="1", voxels="y"),
    ]
    (finding,) = duplicates(seen)
    assert finding.cases == ("a", "c", "e")


def test_patients():
    assert patients([one("a", patient="p"), one("b", patient="p")]) == []
    assert patients([one("a", patient="p"), one("b", patient="p", part="unlabelled")]) == []
    (finding,) = patients(
        [one("a", patient="p"), one("b", patient="p", part="val"), one("c", patient="q")]
    )
    assert finding.severity == "error"
    assert finding.cases == ("a", "b")
    assert "a in train, b in val" in finding.sentence
