"""Every odd file that archives were found to hold: a volume, or one sentence that says why not."""

import json
import warnings

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.files import read_image
from scanprior.data.geometry import to_ras
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.dicom_read import frames_of
from scanprior.data.sources.dicom_seg_write import segmentation, write_segmentation
from scanprior.data.store import Store
from tests.conftest import DATA, real
from tests.data.dicom_files import SECRETS, write_series

AWKWARD = DATA / "awkward"
REFUSED = {
    "complex.nii.gz": "magnitude",
    "nifti1.hdr": "without its nifti1.img",
    "shear.nii.gz": "18.5 degrees off right angles",
    "test.mgz": "degrees off right angles",
    "MR_truncated.dcm": "cannot be decoded",
    "no_meta.dcm": "no readable DICOM image",
    "README-Series.txt": "no known format",
}
SHAPES = {
    "AIL.nii.gz": (1, 67, 79, 64),
    "labels256.nii.gz": (1, 256, 256, 256),
    "example4d.nii.gz": (2, 24, 96, 128),
    "functional.nii": (20, 3, 21, 17),
    "CT_small.dcm": (1, 1, 128, 128),
    "ras.hdr": (1, 34, 41, 62),
}


def files():
    found = sorted(AWKWARD.rglob("*")) if AWKWARD.is_dir() else []
    found = [path for path in found if path.is_file()]
    return [p for p in found if p.parent.name != "ge_150" or p.name.endswith(("1.dcm", ".txt"))]


def prepare(capsys, *words, more=("--intensity", "none")):
    """Exit code and what was said; anything but an exit is a failure by itself."""
    code = 0
    try:
        cli.main(["prepare", *map(str, words), "--workers", "1", *more])
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_every_file(tmp_path, capsys, path):
    code, said = prepare(capsys, path, tmp_path / "store")
    if path.name in REFUSED:
        assert code == 2
        assert REFUSED[path.name] in said
        assert path.name in said
        assert len(said.strip().splitlines()) == 1
        return
    assert code == 0, said
    (volume,) = Store(tmp_path / "store")
    whole = volume.read(tuple(slice(None) for _ in volume.shape[1:])).astype(np.float32)
    assert np.isfinite(whole).all()
    assert whole.std() > 0
    assert volume.shape == SHAPES.get(path.name, volume.shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dicom", "nifti", "other"])
def test_every_folder_takes_what_it_can_and_names_the_rest(tmp_path, capsys, name):
    code, _ = prepare(capsys, real("awkward") / name, tmp_path / "store", "--straighten")
    assert code == 1
    kept = {volume.id for volume in Store(tmp_path / "store")}
    rejected = json.loads((tmp_path / "store" / "rejected.json").read_text())
    assert len(kept) == {"dicom": 14, "nifti": 9, "other": 3}[name]
    assert all(entry["reason"].count("\n") == 0 for entry in rejected)


@pytest.mark.slow
def test_a_real_series_in_time(tmp_path):
    cases = sources.find(real("awkward") / "dicom" / "ge_150", None, SourceOptions())
    assert len(cases) == 10
    one = sources.find(
        real("awkward") / "dicom" / "ge_150", None, SourceOptions(fourth_axis="channels")
    )
    image, _ = one[0].read()
    assert image.array.shape == (10, 15, 64, 64)
    assert image.spacing == pytest.approx((5.0, 3.75, 3.75))
    slices = {}
    for path in (real("awkward") / "dicom" / "ge_150").glob("*.dcm"):
        data = pydicom.dcmread(path)
        slices[int(data.InstanceNumber)] = (data.ImagePositionPatient[2], data.pixel_array)
    for number, (height, plane) in slices.items():  # 15 a volume, from below
        time, k = divmod(number - 1, 15)
        assert np.array_equal(image.array[time, k], plane)
        assert (image.affine @ [0, 0, k, 1])[2] == pytest.approx(height, abs=1e-2)


def test_a_mosaic_lies_where_nibabel_has_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its readers experimental
        from nibabel.nicom.dicomwrappers import wrapper_from_file
    cases = sources.find(real("awkward") / "dicom" / "siemens_mosaic", None, SourceOptions())
    paths = sorted((real("awkward") / "dicom" / "siemens_mosaic").iterdir())
    for case, path in zip(cases, paths, strict=True):
        theirs = wrapper_from_file(path)  # axes (row, column, slice), LPS
        image, _ = case.read()
        assert np.array_equal(image.array[0], theirs.get_data().transpose(2, 0, 1))
        expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ theirs.affine[:, [1, 0, 2, 3]]
        assert np.allclose(image.affine, expected, atol=1e-4)


def test_a_mosaic_is_never_taken_for_a_photograph(tmp_path):
    """Not where its position is gone, nor where only the private element says what it is."""
    whole = sorted((real("awkward") / "dicom" / "siemens_mosaic").iterdir())[0]
    (case,) = sources.find(whole, None, SourceOptions())
    for gone in ("ImagePositionPatient", "ImageOrientationPatient", "ImageType"):
        data = pydicom.dcmread(whole)
        delattr(data, gone)
        data.save_as(tmp_path / gone)
        (other,) = sources.find(tmp_path / gone, None, SourceOptions())
        if gone == "ImageType":
            assert np.array_equal(other.read()[0].array, case.read()[0].array)
            continue
        with pytest.raises(InputError, match=f"{gone}.*a mosaic without a position"):
            other.read()


def test_segments_of_a_mosaic_lie_on_the_mosaic(tmp_path):
    for path in (real("awkward") / "dicom" / "siemens_mosaic").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first, second = sources.find(tmp_path, None, SourceOptions())
    image, _ = second.read()
    label = (image.array[0] > np.quantile(image.array, 0.8)).astype(np.uint8)
    label[[0, -1], 3:9, 5:20] = 2  # on the first and the last tile
    made = segmentation(frames_of(second), label, image, ("bright", "box"), "ab" * 32)
    write_segmentation(tmp_path / "seg", made)
    written, source = pydicom.dcmread(tmp_path / "seg"), pydicom.dcmread(second.images[0])
    assert (written.Rows, written.Columns) == label.shape[1:]
    for group in written.PerFrameFunctionalGroupsSequence:
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert item.SpatialLocationsPreserved == "NO"  # its pixels are not the picture's
    again, labelled = sources.find(tmp_path, None, SourceOptions())
    assert again.label is None
    assert labelled.id == second.id
    read = labelled.read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], label)
    volume = highdicom.seg.segread(tmp_path / "seg").get_volume(combine_segments=True)
    theirs = np.argwhere(volume.array == 2) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    index = np.argwhere(label == 2)[:, ::-1]
    ours = (index @ image.affine[:3, :3].T + image.affine[:3, 3]) * [-1, -1, 1]
    for places in (theirs, ours):
        places[:] = places[np.lexsort(np.round(places, 2).T)]
    assert np.allclose(theirs, ours, atol=1e-3)
    assert first.id != second.id


def test_formats_of_one_scan_agree():
    nifti = to_ras(read_image([real("awkward") / "nifti" / "FLAIR.nii.gz"]))[0]
    nrrd = to_ras(read_image([real("awkward") / "other" / "FLAIR.nrrd"]))[0]
    assert np.array_equal(nifti.array, nrrd.array)
    assert np.allclose(nifti.affine, nrrd.affine, atol=1e-3)


@pytest.mark.parametrize("name", ["big.nii", "4d.nii.gz"])
def test_nibabels_own_values(tmp_path, name):
    source = (
        real("awkward")
        / "nifti"
        / {"big.nii": "anatomical.nii", "4d.nii.gz": "example4d.nii.gz"}[name]
    )
    data = nib.load(source).get_fdata(dtype=np.float32).T
    assert np.array_equal(read_image([source]).array, data if data.ndim > 3 else data[None])


def test_no_patient_reaches_a_store(tmp_path, capsys):
    array = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    tree = tmp_path / "archive"
    folder = tree / "MILLER^Zacharias PID-0815" / "2024-01-17"
    write_series(folder / "a", array, affine, "a")
    paths = write_series(folder / "b", array, affine, "b")
    paths[3].unlink()  # a gap: rejected
    write_series(folder / "c", array * 0, affine, "c")  # constant: rejected
    (folder / "PID0815.dcm").write_bytes(b"broken")
    code, said = prepare(capsys, tree, tmp_path / "store")
    assert code == 1
    written = [said]
    for path in (tmp_path / "store").rglob("*"):
        written.append(path.name)
        if path.suffix == ".json":
            written.append(path.read_text())
    told = " ".join(written).casefold()
    assert "lacks 1 slice" in told
    for secret in (*SECRETS, "2024-01-17"):
        assert secret.casefold() not in told
    (volume,) = Store(tmp_path / "store")
    assert volume.shape == (1, 9, 12, 14)
    assert code == prepare(capsys, tree, tmp_path / "store")[0]
