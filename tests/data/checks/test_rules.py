"""Each check of one case: what it finds, what it leaves alone, and that it says what to do."""

import zlib

import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.checks import rules
from scanprior.data.limits import USUAL


def caused(cause: BaseException | None) -> InputError:
    error = InputError("x.nii cannot be used.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (EOFError("Compressed file ended before"), "truncated"),
        (OSError("image file is truncated (3 bytes not processed)"), "truncated"),
        (OSError("Expected 800 bytes, got 300 bytes from object"), "truncated"),
        (zlib.error("incorrect header check"), "unreadable"),
        (ValueError("no such thing"), "unreadable"),
        (None, "refused"),
    ],
)
def test_kind_of_failure(cause, kind):
    assert rules.kind_of(caused(cause)) == kind


def test_a_file_is_there_and_has_bytes(tmp_path):
    path = tmp_path / "a.nii"
    assert rules.file_there(path, "a.nii").check == "missing"
    path.write_bytes(b"")
    assert rules.file_there(path, "a.nii").check == "empty"
    path.write_bytes(b"x")
    assert rules.file_there(path, "a.nii") is None


def test_huge_is_what_readers_refuse(monkeypatch):
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", "250")
    assert rules.huge("a", 250) is None
    assert rules.huge("a", 251).severity == "error"
    monkeypatch.delenv("SCANPRIOR_MAX_VOXELS")
    assert rules.huge("a", USUAL) is None
    assert rules.huge("a", USUAL + 1).severity == "error"


@pytest.mark.parametrize(
    ("wrong", "check"),
    [("truncated", "truncated"), ("damaged", "unreadable"), ("huge", "huge")],
)
def test_packed(wrong, check):
    finding = rules.packed("a.nii.gz", wrong)
    assert finding.check == check
    assert finding.sentence.startswith("a.nii.gz ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value):
    array = np.zeros((2, 3), np.float32)
    assert rules.not_finite("a", array) is None
    array[1, 1] = value
    assert "holds 1 NaN or infinite values of 6" in rules.not_finite("a", array).sentence


def test_whole_numbers_are_finite():
    assert rules.not_finite("a", np.zeros(3, np.uint8)) is None


def test_constant():
    array = np.stack([np.full((4, 5), 3.0), np.full((4, 5), 7.0)])
    assert rules.constant("a", array[:1]).sentence.startswith("a holds 3 everywhere; ")
    finding = rules.constant("a", array)
    assert finding.severity == "error"
    assert finding.sentence.startswith("each channel of a holds one value all over (3, 7); ")
    array[0, 0, 0] = 4
    partly = rules.constant("a", array)
    assert partly.severity == "warning"
    assert "channel 1" in partly.sentence
    array[1, 0, 0] = 4
    assert rules.constant("a", array) is None


@pytest.mark.parametrize(
    ("sizes", "severity"),
    [
        ((1.0, 1.0, 1.0), None),
        ((5.0, 0.5, 0.5), None),
        ((0.0, 1.0, 1.0), "error"),
        ((1.0, float("nan"), 1.0), "error"),
        ((1.0, -1.0, 1.0), "error"),
        ((0.001, 0.001, 0.001), "warning"),  # metres
        ((1000.0, 900.0, 900.0), "warning"),  # micrometres
        ((20.0, 0.3, 0.3), "warning"),
    ],
)
def test_spacing(sizes, severity):
    finding = rules.spacing("a", sizes)
    assert (None if finding is None else finding.severity) == severity


def test_apart_is_in_voxels_at_the_farthest_corner():
    first = np.diag([2.0, 2.0, 4.0, 1.0])
    other = first.copy()
    assert rules.apart(first, other, (5, 6, 7)) == 0
    other[2, 3] = 1  # a mm along the axis of 4 mm voxels
    assert rules.apart(first, other, (5, 6, 7)) == pytest.approx(0.25)
    wider = np.diag([2.0 * 1.01, 2.0, 4.0, 1.0])  # grows along x, which is the array's last axis
    assert rules.apart(first, wider, (5, 6, 101)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("voxels", "check"),
    [
        (0.0, None),
        (9e-7, None),
        (2e-6, "grid noise"),
        (1e-3, "grid noise"),
        (1.1e-3, "grids differ"),
    ],
)
def test_grids(voxels, check):
    finding = rules.grids("l", "i", (3, 3, 3), voxels)
    assert (None if finding is None else finding.check) == check


@pytest.mark.parametrize(("voxels", "check"), [(1e-3, None), (1.1e-3, "grids differ")])
def test_rounding_of_grids_that_are_never_copied_is_no_finding(voxels, check):
    finding = rules.grids("l", "i", (3, 3, 3), voxels, copied=False)
    assert (None if finding is None else finding.check) == check


def test_shapes():
    assert rules.shapes("l", (3, 4), "i", (3, 4)) is None
    assert rules.shapes("l", (3, 4), "i", (4, 3)).check == "grids differ"


def test_float_label():
    assert rules.float_label("l", False) is None
    assert "doctor --fix" in rules.float_label("l", True).sentence
    assert "whole numbers" in rules.float_label("l", True, copied=False).sentence


def test_label_values():
    allowed = frozenset({0, 1, 2})
    assert rules.label_values("l", [0, 2], allowed) is None
    assert rules.label_values("l", [0, 9], {}) is None
    assert rules.label_values("l", range(256), {}) is None
    assert rules.label_values("l", range(257), {}).check == "many labels"
    assert rules.label_values("l", [0, 2], {0: "background", 2: ""}) is None
    outside = rules.label_values("l", [0, 7, 300], allowed)
    assert outside.check == "label values"
    assert "label 7, 300" in outside.sentence
    assert rules.label_values("l", [0], allowed).check == "empty label"


def test_channel_count():
    assert rules.channel_count("a", 2, None) is None
    assert rules.channel_count("a", 2, 2) is None
    assert rules.channel_count("a", 2, 4).severity == "error"
