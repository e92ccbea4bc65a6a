"""Corrected copies: the right file, the right geometry, the same voxels, an untouched source."""

import hashlib
import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from scanprior.data import sources
from scanprior.data.files import read_affine, read_image, read_label
from scanprior.data.sources import SourceOptions
from scanprior.doctor.fix import fix
from tests.doctor.scans import AFFINE, describe, label, save, scan, sound

NOISY = AFFINE + 1e-4 * np.outer([1, 0, 0, 0], [0, 0, 0, 1])


def hashes(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


def mend(source, folder):
    """Every case's copies; there is nothing that could not be corrected."""
    answers = [fix(case, source, folder) for case in sources.find(source, None, SourceOptions())]
    assert [found for _, refused in answers for found in refused] == []
    return [path for written, _ in answers for path in written]


def fixed(source, folder):
    before = hashes(source)
    written = mend(source, folder)
    assert hashes(source) == before
    assert sorted(written) == sorted(p for p in folder.rglob("*.*") if p.is_file())
    return [path.relative_to(folder).as_posix() for path in written]


def test_nothing_to_do(tmp_path):
    assert fixed(sound(tmp_path / "in"), tmp_path / "out") == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_noise(tmp_path, dtype):
    source = sound(tmp_path / "in")
    save(source / "labelsTr/c01.nii.gz", label(1).astype(dtype), NOISY)
    assert fixed(source, tmp_path / "out") == ["labelsTr/c01.nii.gz"]
    copy = nib.load(tmp_path / "out/labelsTr/c01.nii.gz")
    image = nib.load(source / "imagesTr/c01.nii.gz")
    assert np.array_equal(copy.affine, image.affine)
    assert copy.get_qform() == pytest.approx(image.affine, abs=1e-6)
    assert copy.get_data_dtype() == dtype
    assert np.array_equal(np.asanyarray(copy.dataobj), label(1))


def test_a_label_map_stored_from_another_corner_keeps_its_axes(tmp_path):
    source = sound(tmp_path / "in")
    path = source / "labelsTr/c01.nii.gz"
    turned = nib.Nifti1Image(label(1).astype(np.float32), AFFINE)
    nib.save(turned.as_reoriented(np.array([(2, 1), (0, -1), (1, 1)])), path)
    assert fixed(source, tmp_path / "out") == ["labelsTr/c01.nii.gz"]
    before, copy = (nib.load(p) for p in (path, tmp_path / "out/labelsTr/c01.nii.gz"))
    assert np.allclose(copy.affine, before.affine)
    assert copy.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(copy.dataobj), np.asanyarray(before.dataobj))


def test_what_differs_is_left_alone(tmp_path):
    source = sound(tmp_path / "in")
    save(
        source / "labelsTr/c01.nii.gz", label(1), AFFINE + 0.05 * np.eye(4)[:, [3]] @ np.eye(4)[[3]]
    )
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.05  # a twentieth of a voxel: prepare takes it, but it is no rounding
    save(source / "labelsTr/c01.nii.gz", label(1), shifted)
    assert fixed(source, tmp_path / "out") == []


def test_float_label(tmp_path):
    source = sound(tmp_path / "in")
    save(source / "labelsTr/c02.nii.gz", label(2).astype(np.float32))
    assert fixed(source, tmp_path / "out") == ["labelsTr/c02.nii.gz"]
    copy = nib.load(tmp_path / "out/labelsTr/c02.nii.gz")
    assert copy.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(copy.dataobj), label(2))
    assert np.array_equal(copy.affine, nib.load(source / "labelsTr/c02.nii.gz").affine)


def test_scaled_channel_keeps_its_numbers(tmp_path):
    """A channel is stored as 16 bit with a slope: the copy's values are equal to the last bit."""
    source = tmp_path / "in"
    save(source / "imagesTr/a_0000.nii.gz", scan(0))
    image = nib.Nifti1Image(scan(1), NOISY)
    image.set_data_dtype(np.int16)
    nib.save(image, source / "imagesTr/a_0001.nii.gz")
    describe(source)
    assert fixed(source, tmp_path / "out") == ["imagesTr/a_0001.nii.gz"]
    before = read_image([source / "imagesTr/a_0001.nii.gz"])
    after = read_image([tmp_path / "out/imagesTr/a_0001.nii.gz"])
    assert np.array_equal(before.array, after.array)
    assert np.array_equal(after.affine, read_affine(source / "imagesTr/a_0000.nii.gz"))


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_itk(tmp_path, ending, dtype):
    source = tmp_path / "in"
    turned = np.array([[0.0, -0.8, 0.0, 4.0], [0.9, 0, 0, 5], [0, 0, 1.3, 6], [0, 0, 0, 1]])
    save(source / "images/a.nii.gz", scan(0), turned)
    (source / "labels").mkdir()
    map_ = sitk.GetImageFromArray(label(0).T.astype(dtype))
    lps = np.diag([-1.0, -1.0, 1.0]) @ turned[:3, :3]
    sizes = np.linalg.norm(lps, axis=0)
    map_.SetSpacing(sizes.tolist())
    map_.SetDirection((lps / sizes).ravel().tolist())
    map_.SetOrigin([-4.0, -5.0, 6.0001])
    sitk.WriteImage(map_, str(source / f"labels/a.{ending}"))
    assert fixed(source, tmp_path / "out") == [f"labels/a.{ending}"]
    copy = tmp_path / f"out/labels/a.{ending}"
    assert read_affine(copy) == pytest.approx(read_affine(source / "images/a.nii.gz"), abs=1e-9)
    assert np.array_equal(read_label(copy).array[0], label(0).T)
    assert sitk.ReadImage(str(copy)).GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_metadata_is_kept(tmp_path, ending, dtype):
    source = tmp_path / "in"
    save(source / "images/a.nii.gz", scan(0), AFFINE)
    (source / "labels").mkdir()
    map_ = sitk.GetImageFromArray(label(0).T.astype(dtype))
    map_.SetSpacing([0.9, 0.9, 1.2])
    map_.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    map_.SetOrigin([3.0, -5.0, 7.0001])
    map_.SetMetaData("Segment0_Name", "liver")
    sitk.WriteImage(map_, str(source / f"labels/a.{ending}"))
    content = (source / f"labels/a.{ending}").read_bytes()
    frame = b"measurement frame: (1,0,0) (0,0,1) (0,1,0)\n"
    content = content.replace(b"encoding: raw", frame + b"encoding: raw")
    (source / f"labels/a.{ending}").write_bytes(content)
    assert fixed(source, tmp_path / "out") == [f"labels/a.{ending}"]
    before, after = (
        sitk.ReadImage(str(folder / f"labels/a.{ending}")) for folder in (source, tmp_path / "out")
    )
    assert after.GetMetaData("Segment0_Name") == "liver"
    lost = set(before.GetMetaDataKeys()) - set(after.GetMetaDataKeys())
    assert lost <= {"NRRD_measurement frame"}, "labels have none"
    assert not lost or dtype == np.float32
    text = (tmp_path / f"out/labels/a.{ending}").read_bytes()
    assert (frame in text) == (ending == "nrrd" and dtype == np.uint8)
    assert (b"frame" in text) == (frame in text)
    assert b"ITK_" not in text, "what the reader adds is no part of the file"


PAIRS = {
    "img": ["a.hdr", "a.img"],
    "mhd": ["a.mhd", "a.zraw"],
    "nhdr": ["a.nhdr", "a.raw.gz"],
}


@pytest.mark.parametrize("ending", PAIRS)
def test_a_header_and_its_data_stay_a_pair(tmp_path, ending):
    source = tmp_path / "in"
    save(source / "images/a.nii.gz", scan(0))
    (source / "labels").mkdir()
    if ending == "img":
        nib.save(nib.Nifti1Pair(label(0).astype(np.float32), AFFINE), source / "labels/a.img")
    else:
        map_ = sitk.GetImageFromArray(label(0).T.astype(np.float32))
        map_.SetSpacing([0.9, 0.9, 1.2])
        map_.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
        map_.SetOrigin([3.0, -5.0, 7.0])
        sitk.WriteImage(map_, str(source / f"labels/a.{ending}"))
    before = hashes(source)
    assert mend(source, tmp_path / "out") == [tmp_path / f"out/labels/a.{ending}"]
    assert hashes(source) == before
    assert sorted(path.name for path in (tmp_path / "out/labels").iterdir()) == PAIRS[ending]
    copy = read_label(tmp_path / f"out/labels/a.{ending}")
    assert np.array_equal(copy.array[0], label(0).T)


@pytest.mark.parametrize("name", ["../lab/c01.nii.gz", "labelsTr/../../lab/c01.nii.gz"])
def test_a_label_map_outside_the_source_is_not_copied(tmp_path, name):
    """Its copy would overwrite what lies beside the folder of copies."""
    source = sound(tmp_path / "in", 2)
    listed = json.loads((source / "dataset.json").read_text())["training"]
    listed[1]["label"] = name
    describe(source, training=listed)
    for folder in (tmp_path / "lab", tmp_path / "home/lab"):
        save(folder / "c01.nii.gz", label(1), NOISY)
    before = hashes(tmp_path)
    case = sources.find(source, None, SourceOptions())[1]
    written, (refused,) = fix(case, source, tmp_path / "home/fixed")
    assert written == []
    assert "lies outside the source" in refused.sentence
    assert hashes(tmp_path) == before


def test_a_label_map_that_is_named_by_a_detour_is_copied_to_its_place(tmp_path):
    source = sound(tmp_path / "in", 1)
    listed = [{"image": "imagesTr/c00.nii.gz", "label": "imagesTr/../labelsTr/c00.nii.gz"}]
    describe(source, training=listed)
    save(source / "labelsTr/c00.nii.gz", label(0), NOISY)
    assert fixed(source, tmp_path / "out") == ["labelsTr/c00.nii.gz"]


def test_a_label_map_that_is_a_link_is_copied_to_where_the_link_is(tmp_path):
    source = sound(tmp_path / "in", 1)
    save(tmp_path / "away/x.nii.gz", label(0), NOISY)
    (source / "labelsTr/c00.nii.gz").unlink()
    (source / "labelsTr/c00.nii.gz").symlink_to(tmp_path / "away/x.nii.gz")
    before = hashes(tmp_path)
    assert mend(source, tmp_path / "out") == [tmp_path / "out/labelsTr/c00.nii.gz"]
    assert before.items() <= hashes(tmp_path).items()


def test_no_copy_is_written_through_a_link(tmp_path):
    source = sound(tmp_path / "in", 1)
    save(source / "labelsTr/c00.nii.gz", label(0), NOISY)
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "out/labelsTr").symlink_to(tmp_path / "other")
    (case,) = sources.find(source, None, SourceOptions())
    written, (refused,) = fix(case, source, tmp_path / "out")
    assert written == []
    assert "give another --fix" in refused.sentence
    assert list((tmp_path / "other").iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    source = sound(tmp_path / "in")
    save(source / "labelsTr/c01.nii.gz", label(1), NOISY)
    (tmp_path / "out").write_text("a file")
    case = sources.find(source, None, SourceOptions())[1]
    written, (refused,) = fix(case, source, tmp_path / "out")
    assert written == []
    assert (refused.check, refused.severity) == ("not corrected", "error")
    assert (refused.file, refused.cases) == ("labelsTr/c01.nii.gz", ("c01",))
    assert refused.sentence.startswith("the copy of labelsTr/c01.nii.gz cannot be written (")
    assert "give another --fix" in refused.sentence
    assert str(tmp_path) not in refused.sentence


def unreadable(*_: object) -> None:
    raise OSError(5, "Input/output error", "/somewhere/else")


@pytest.mark.parametrize(
    ("ending", "name", "failing"),
    [
        ("nii.gz", "nib", SimpleNamespace(load=unreadable, Nifti1Header=nib.Nifti1Header)),
        ("mha", "itk_header", unreadable),
    ],
)
def test_a_file_that_cannot_be_read_any_more(tmp_path, monkeypatch, ending, name, failing):
    """It is the source's disk that fails: another folder for the copies would not help."""
    source = tmp_path / "in"
    save(source / "images/a.nii.gz", scan(0))
    (source / "labels").mkdir()
    map_ = sitk.GetImageFromArray(label(0).T.astype(np.float32))
    map_.CopyInformation(sitk.ReadImage(str(source / "images/a.nii.gz")))
    sitk.WriteImage(map_, str(source / f"labels/a.{ending}"))
    monkeypatch.setattr(f"scanprior.doctor.fix.{name}", failing)
    (case,) = sources.find(source, None, SourceOptions())
    written, (refused,) = fix(case, source, tmp_path / "out")
    assert written == []
    assert refused.sentence == (
        f"labels/a.{ending} cannot be read any more (Input/output error); restore it, or leave it "
        "out."
    )


def test_one_file_that_cannot_be_copied_leaves_the_others(tmp_path, monkeypatch):
    """What was written of a case is counted, although its next file is refused."""
    source = tmp_path / "in"
    save(source / "imagesTr/a_0000.nii.gz", scan(0))
    save(source / "imagesTr/a_0001.nii.gz", scan(1), NOISY)
    save(source / "labelsTr/a.nii.gz", label(1).astype(np.float32))
    describe(source, channel_names={"0": "T1", "1": "T2"})
    monkeypatch.setattr("scanprior.doctor.fix.read_label", lambda path: read_image([path]))
    monkeypatch.setattr(
        "scanprior.doctor.fix._copy_nibabel",
        lambda path, to, affine, whole: save(to, scan(1) if whole is None else label(0), affine),
    )
    (case,) = sources.find(source, None, SourceOptions())
    written, (refused,) = fix(case, source, tmp_path / "out")
    assert [path.name for path in written] == ["a_0001.nii.gz"]
    assert refused.file == "labelsTr/a.nii.gz"
    assert "cannot be copied exactly" in refused.sentence
    assert [path.name for path in (tmp_path / "out/labelsTr").iterdir()] == []
