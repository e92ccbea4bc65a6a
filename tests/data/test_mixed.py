"""Folders that hold files of several kinds: refused or said, never taken in part and in silence."""

import json
import os
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.sources import SourceOptions
from tests.data.dicom_files import write_series

NONE = SourceOptions()
ARRAY = np.arange(120, dtype=np.int16).reshape(4, 5, 6)


def nifti(folder):
    nib.save(nib.Nifti1Image(ARRAY.T, np.eye(4)), folder / "scan.nii.gz")


def dicom(folder):
    write_series(folder / "series", ARRAY, np.eye(4))  # without endings


def pictures(folder):
    for name in "ab":
        Pillow.fromarray(ARRAY[0].astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "grades.csv").write_text("image,grade\na,1\nb,0\n")


def pages(folder):
    page = Pillow.fromarray(ARRAY[0].astype(np.uint16))
    page.save(folder / "a.tif", save_all=True, append_images=[page])


def hdf5(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        file["image"] = ARRAY


def modalities(folder):
    (folder / "p").mkdir()
    for name in ("t1", "t1c", "t2", "flair"):
        nib.save(nib.Nifti1Image(ARRAY.T, np.eye(4)), folder / "p" / f"p_{name}.nii.gz")


@pytest.mark.parametrize(
    ("kinds", "held", "formats"),
    [
        ((nifti, dicom), "1 .nii.gz file and 4 DICOM files", "folder or dicom"),
        ((nifti, pages), "1 .nii.gz file and 1 .tif file", "folder or photographs"),
        ((nifti, pictures), "1 .nii.gz file and 2 .png files", "folder or photographs"),
        ((dicom, pictures), "4 DICOM files and 2 .png files", "dicom or photographs"),
        ((nifti, hdf5), "1 .nii.gz file and 1 .h5 file", "folder or hdf5"),
        ((modalities, dicom), "4 .nii.gz files and 4 DICOM files", "brats or dicom"),
        (
            (nifti, dicom, hdf5),
            "1 .nii.gz file, 1 .h5 file and 4 DICOM files",
            "folder or hdf5 or dicom",
        ),
    ],
)
def test_two_kinds_are_refused_and_each_is_read_alone(tmp_path, kinds, held, formats):
    for write in kinds:
        write(tmp_path)
    choice = " or ".join(f"--format {name}" for name in formats.split(" or "))
    with pytest.raises(InputError) as refused:
        sources.find(tmp_path, None, NONE)
    assert str(refused.value) == (
        f"{tmp_path} holds {held}, which are not read together; choose with {choice}."
    )
    for name in formats.split(" or "):
        assert sources.find(tmp_path, name, NONE)


def test_what_the_chosen_format_leaves_out_is_said(tmp_path, capsys):
    for write in (nifti, dicom, pictures):
        write(tmp_path)
    found = sources.search(tmp_path, "folder", NONE)
    assert [case.id for case in found.cases] == ["scan"]
    assert found.left_out == ("4 DICOM files", "2 .png files")
    assert capsys.readouterr().err == "left out 4 DICOM files, 2 .png files.\n"


def test_files_of_no_known_kind_get_a_word_and_texts_none(tmp_path):
    nifti(tmp_path)
    (tmp_path / "README.md").write_text("by hand")
    (tmp_path / "scan.bval").write_text("0")
    assert sources.search(tmp_path, None, NONE).left_out == ()
    (tmp_path / "other.nii.bz2").write_bytes(b"BZh")
    assert sources.search(tmp_path, None, NONE).left_out == (
        "1 file of no known kind, as other.nii.bz2",
    )


def test_scans_beside_the_pairs_get_a_word(tmp_path):
    for name in ("images", "labels", "more"):
        (tmp_path / name).mkdir()
        nifti(tmp_path / name)
    found = sources.search(tmp_path, None, NONE)
    assert len(found.cases) == 1
    assert found.left_out == ("1 .nii.gz file in no case",)


def test_scans_beside_those_of_a_dataset_json_get_a_word(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    nifti(tmp_path / "imagesTr")
    nifti(tmp_path)
    dicom(tmp_path)
    listed = {"training": [{"image": "imagesTr/scan.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    found = sources.search(tmp_path, None, NONE)
    assert [case.id for case in found.cases] == ["scan"]
    assert found.left_out == ("1 .nii.gz file in no case", "4 DICOM files")


@pytest.mark.parametrize("write", [nifti, dicom])
def test_what_no_format_looks_into_gets_a_word(tmp_path, write):
    source = tmp_path / "in"
    for folder in (source / "seen", source / ".git" / "deeper", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
        write(folder)
    for name in ("one", "two"):
        (source / name).symlink_to(tmp_path / "elsewhere")
    (source / "dead").symlink_to(tmp_path / "nothing")
    (source / "._scan.nii.gz").write_bytes(b"")
    os.mkfifo(source / "seen" / "pipe")
    found = sources.search(source, None, NONE)
    assert len(found.cases) == 1
    assert found.left_out == (
        "1 hidden folder",
        "1 hidden file",
        "2 links to folders",
        "1 dead link",
        "1 pipe or device",
    )


@pytest.mark.parametrize("write", [nifti, dicom])
def test_a_locked_folder_gets_a_word(tmp_path, monkeypatch, write):
    locked = tmp_path / "locked"
    locked.mkdir()
    write(tmp_path)
    scandir = os.scandir

    def scanned(path):  # chmod would not stop a test that runs as root
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scanned)
    found = sources.search(tmp_path, None, NONE)
    assert len(found.cases) == 1
    assert found.left_out == ("1 folder that may not be opened",)


def test_an_empty_source_says_so(tmp_path):
    with pytest.raises(InputError, match="is empty; give the folder"):
        sources.search(tmp_path, None, NONE)


def test_a_source_of_links_alone_says_so(tmp_path):
    source = tmp_path / "in"
    for folder in (source, tmp_path / "elsewhere"):
        folder.mkdir()
    nifti(tmp_path / "elsewhere")
    (source / "link").symlink_to(tmp_path / "elsewhere")
    said = r"no known format \(not looked into: 1 link to a folder\); give one of"
    with pytest.raises(InputError, match=said):
        sources.search(source, None, NONE)


def test_beside_a_dicomdir_nothing_is_left_out_in_silence(tmp_path):
    dicom(tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    found = sources.search(tmp_path / "DICOMDIR", "dicom", NONE)
    assert "1 hidden folder" in found.left_out


def test_a_link_that_cases_are_read_through_is_not_left_out(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        nifti(tmp_path / name)
        (source / name).symlink_to(tmp_path / name)
    found = sources.search(source, "folder", NONE)
    assert [case.label is not None for case in found.cases] == [True]
    assert found.left_out == ()
