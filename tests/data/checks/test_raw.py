"""Headers and packing, told from the bytes."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Pillow

from scanprior.data.checks import raw
from tests.doctor.scans import label, save, scan

VOXELS = 12 * 13 * 14


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "mgz"])
@pytest.mark.parametrize("fractional", [True, False])
def test_header_of_nibabel(tmp_path, ending, fractional):
    path = tmp_path / f"a.{ending}"
    kind = nib.MGHImage if ending == "mgz" else nib.Nifti1Image
    nib.save(kind(scan(0) if fractional else label(0), np.eye(4)), path)
    assert raw.header(path) == raw.Header(VOXELS, fractional)
    assert raw.numbers(path).size == VOXELS


def test_scaled_whole_numbers_are_fractions(tmp_path):
    image = nib.Nifti1Image(label(0).astype(np.float32) * 0.5, np.eye(4))
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii")
    assert raw.header(tmp_path / "a.nii").fractional


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_header_of_itk(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(label(0)), str(path))
    assert raw.header(path) == raw.Header(VOXELS, False)
    sitk.WriteImage(sitk.GetImageFromArray(scan(0)), str(path))
    assert raw.header(path) == raw.Header(VOXELS, True)


def test_header_of_a_photograph(tmp_path):
    Pillow.new("RGB", (7, 5)).save(tmp_path / "a.png")
    assert raw.header(tmp_path / "a.png") == raw.Header(105, False)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.png", "a.txt"])
def test_no_header(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"nothing of the kind")
    assert raw.header(path) is None
    assert raw.numbers(path) is None


def test_packing(tmp_path):
    path = tmp_path / "a.nii.gz"
    save(path, scan(0))
    whole = path.read_bytes()
    assert raw.packing(path, 1 << 30) is None
    assert raw.packing(path, 1 << 10) == "huge"
    path.write_bytes(whole[: len(whole) // 2])
    assert raw.packing(path, 1 << 30) == "truncated"
    path.write_bytes(whole[:-4])  # all voxels are there, the checksum's end is not
    assert raw.packing(path, 1 << 30) == "truncated"
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    assert raw.packing(path, 1 << 30) == "damaged"
    plain = tmp_path / "a.nii"
    plain.write_bytes(gzip.decompress(whole))
    assert raw.packing(plain, 1 << 10) is None
    assert raw.packing(tmp_path / "gone.nii.gz", 1 << 10) is None
