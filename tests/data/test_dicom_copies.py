"""Files that say that they are one image: copies of it fall out, contradictions are refused."""

import shutil

import numpy as np
import pydicom
import pytest

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.sources import SourceOptions, dicom
from tests.data.dicom_files import write_series

NONE = SourceOptions()
SHAPE = (9, 12, 14)
AFFINE = np.diag([0.7, 1.1, 2.5, 1.0])
ANOTHER = np.full(SHAPE[1:], 7, np.int16).tobytes()


def array_of(seed=0):
    return np.random.default_rng(seed).integers(-1000, 2000, SHAPE, dtype=np.int16)


def copied(path, to, **changes):
    """A file of the same SOP instance, with other values."""
    to.parent.mkdir(exist_ok=True)
    data = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(to)


@pytest.mark.parametrize("change", [{}, {"InstitutionName": "elsewhere"}, {"PatientID": "hidden"}])
def test_a_copy_is_left_out_with_a_word(tmp_path, change):
    paths = write_series(tmp_path, array_of(), AFFINE)
    copied(paths[2], tmp_path / "copy", **change)
    found = sources.search(tmp_path, None, NONE)
    assert found.left_out == ("1 x second copy of an image",)
    assert np.array_equal(found.cases[0].read()[0].array[0], array_of())


def test_a_copy_that_was_cut_short_is_left_out(tmp_path):
    paths = write_series(tmp_path, array_of(), AFFINE)
    (tmp_path / "copy").write_bytes(paths[2].read_bytes()[:-50])
    (case,) = sources.find(tmp_path, None, NONE)
    assert np.array_equal(case.read()[0].array[0], array_of())


def test_a_copy_that_vanishes_while_it_is_sorted_is_left_out(tmp_path, monkeypatch):
    paths = write_series(tmp_path, array_of(), AFFINE)
    copied(paths[2], tmp_path / "last")  # of two equal files the first counts
    read_header = dicom.read_header

    def then_gone(path):
        header = read_header(path)
        if path.name == "last":
            path.unlink()
        return header

    monkeypatch.setattr(dicom, "read_header", then_gone)
    (case,) = sources.find(tmp_path, None, NONE)
    assert np.array_equal(case.read()[0].array[0], array_of())


@pytest.mark.parametrize(
    ("mine", "copies", "slices", "remarks"),
    [
        (range(9), range(9), [9], []),
        (range(9), range(3, 7), [9], []),
        (range(3, 7), range(9), [9], []),
        (range(6), range(3, 9), [6, 6], ["3 of the images of its series are in series"]),
    ],
)
def test_no_series_loses_some_of_its_slices_to_another(tmp_path, mine, copies, slices, remarks):
    """Two patients' series, as of a scan and its anonymous copy; whose file is the larger one
    changes from slice to slice."""
    for k, path in enumerate(write_series(tmp_path, array_of(), AFFINE)):
        if k in copies:
            number = "a" * 16 * (k % 2)
            copied(path, tmp_path / f"other/{k}", PatientID="hidden", AccessionNumber=number)
        if k not in mine:
            path.unlink()
    found = sources.search(tmp_path, None, NONE)
    assert [len(case.files) for case in found.cases] == slices
    told = [(case, remark) for case in found.cases for remark in case.remarks]
    for (case, remark), begins in zip(told, remarks, strict=True):
        assert remark.startswith(begins)
        assert any(other.id in remark for other in found.cases if other is not case)
    fallen = len(mine) + len(copies) - sum(slices)
    assert found.left_out == (f"{fallen} x second copy of an image",) * (fallen > 0)


def test_a_series_that_two_others_hold_between_them_is_kept(tmp_path):
    """Slices 5 to 10, of which one series has those to 7 and another those from 8 on."""
    array = np.random.default_rng(0).integers(-1000, 2000, (16, 12, 14), dtype=np.int16)
    paths = write_series(tmp_path / "all", array, AFFINE)
    for name, slices in (("between", range(5, 11)), ("low", range(8)), ("high", range(8, 16))):
        for k in slices:
            copied(paths[k], tmp_path / f"{name}/{k}", PatientID=name)
    shutil.rmtree(tmp_path / "all")
    found = sources.search(tmp_path, None, NONE)
    assert sorted(len(case.files) for case in found.cases) == [6, 8, 8]
    assert found.left_out == ()
    (between,) = (case for case in found.cases if len(case.files) == 6)
    assert sorted(int(remark.split()[0]) for remark in between.remarks) == [3, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"PixelData": ANOTHER},
        {"ImagePositionPatient": [0, 0, 99]},
        {"RescaleSlope": 2, "RescaleIntercept": 0},
        {"PatientID": "another", "PixelData": ANOTHER},
    ],
)
def test_two_images_of_one_uid_refuse_their_series(tmp_path, change):
    paths = write_series(tmp_path, array_of(), AFFINE)
    write_series(tmp_path / "other", array_of(1), AFFINE, "other")
    copied(paths[2], tmp_path / "again", **change)
    found = sources.search(tmp_path, None, NONE)
    assert found.left_out == ()
    refused = []
    for case in found.cases:
        try:
            assert np.array_equal(case.read()[0].array[0], array_of(1))
        except InputError as error:
            refused.append(str(error))
            assert {paths[2], tmp_path / "again"} <= set(case.files)
    assert len(refused) == len(found.cases) - 1 == (2 if "PatientID" in change else 1)
    for said in refused:
        assert "two different images under one SOP Instance UID" in said
        assert paths[2].name in said
        assert "again" in said
