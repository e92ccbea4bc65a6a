"""A DICOM series is the volume that a NIfTI of the same array is, wherever its slices lie."""

import io
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import gdcm
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.files import read_image
from scanprior.data.geometry import sheared, to_ras
from scanprior.data.sources import SourceOptions
from tests.data.dicom_files import (
    ENHANCED_MR,
    SECRETS,
    header,
    orientation,
    pixels,
    position,
    uid,
    write_series,
)

NONE = SourceOptions()
SHAPE = (9, 12, 14)


def array_of(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(-1000, 2000, shape, dtype=np.int16)


def affine_of(rows=(1, 0, 0), columns=(0, 1, 0), sizes=(0.7, 1.1, 2.5), turn=0.0):
    a = np.deg2rad(turn)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ np.stack([rows, columns, np.cross(rows, columns)], 1) * sizes
    affine[:3, 3] = (-31.0, 12.5, 7.25)
    return affine


def read_all(source, options=NONE):
    return {case.id: case.read()[0] for case in sources.find(source, None, options)}


def only(source, options=NONE):
    (image,) = read_all(source, options).values()
    return image


@pytest.mark.parametrize(
    ("rows", "columns", "turn"),
    [
        ((1, 0, 0), (0, 1, 0), 0),
        ((-1, 0, 0), (0, -1, 0), 0),
        ((0, 1, 0), (0, 0, -1), 0),
        ((1, 0, 0), (0, 0, -1), 23.0),
        ((-1, 0, 0), (0, 1, 0), 11.0),
    ],
)
def test_a_series_is_the_nifti_of_the_same_array(tmp_path, rows, columns, turn):
    array, affine = array_of(), affine_of(rows, columns, turn=float(turn))
    write_series(tmp_path / "dicom/deep/er", array, affine)
    nib.save(nib.Nifti1Image(array.T, affine), tmp_path / "same.nii")
    (case,) = sources.find(tmp_path / "dicom", None, NONE)
    ours = to_ras(case.read()[0])[0]
    theirs = to_ras(read_image([tmp_path / "same.nii"]))[0]
    assert np.array_equal(ours.array, theirs.array)
    assert np.allclose(ours.affine, theirs.affine, atol=1e-4)
    assert np.allclose(ours.spacing, theirs.spacing)
    assert np.allclose(case.affine(), case.read()[0].affine)
    assert case.partition == "unlabelled"


def test_rescaling_is_applied_slice_by_slice(tmp_path):
    array, affine = array_of(), affine_of()
    for k, path in enumerate(write_series(tmp_path, array, affine)):
        data = pydicom.dcmread(path)
        data.RescaleSlope, data.RescaleIntercept = 0.5 * (k + 1), -1024
        data.save_as(path)
    expected = array * 0.5 * np.arange(1, 10)[:, None, None] - 1024
    assert np.allclose(to_ras(only(tmp_path))[0].array[0], expected)


def test_series_and_times_are_kept_apart(tmp_path):
    axial = affine_of()
    write_series(tmp_path, array_of(1), axial, "one", PatientID="P1")
    write_series(tmp_path, array_of(2), axial, "two", PatientID="P1")
    for time in (2, 1, 3):
        write_series(
            tmp_path / str(time), array_of(10 + time), axial, "film", AcquisitionNumber=time
        )
    cases = sources.find(tmp_path, None, NONE)
    times = [case for case in cases if case.id[-5:-3] == "_t"]
    assert len(times) == 3
    for time, case in enumerate(times, 1):
        assert np.array_equal(to_ras(case.read()[0])[0].array[0], array_of(10 + time))
    assert len({case.patient for case in times}) == 1
    assert len(cases) == 5
    assert len({case.patient for case in cases}) == 2
    assert only(tmp_path / "1").shape == SHAPE
    channels = read_all(tmp_path, SourceOptions(fourth_axis="channels"))
    assert sorted(len(image.array) for image in channels.values()) == [1, 1, 3]


def test_two_orientations_in_one_series(tmp_path):
    axial, coronal = affine_of(), affine_of((1, 0, 0), (0, 0, -1))
    write_series(tmp_path / "a", array_of(1), axial, "s", AcquisitionNumber=1)
    write_series(tmp_path / "b", array_of(2), coronal, "s", AcquisitionNumber=2)
    found = {image.array.sum() for image in read_all(tmp_path).values()}
    assert found == {
        array_of(1).astype(np.float32)[None].sum(),
        array_of(2).astype(np.float32)[None].sum(),
    }


def test_gaps_and_unfinished_volumes_are_refused(tmp_path):
    array, affine = array_of(), affine_of()
    paths = write_series(tmp_path, array, affine)
    paths[4].unlink()
    with pytest.raises(InputError, match=r"lacks 1 slice between .* between 14\.8 and 19\.8 mm"):
        only(tmp_path)
    write_series(tmp_path / "again", array, affine, AcquisitionNumber=2)
    with pytest.raises(InputError, match=r"1 to 2 slices at a position"):
        only(tmp_path)
    for path in paths[5:] + paths[:2]:
        path.unlink()
    with pytest.raises(InputError, match="two or more slices at 2 of its 9 positions"):
        only(tmp_path)


@pytest.mark.parametrize(
    ("heights", "said"),
    [
        ((0, 1, 2, 3, 5.5, 6.5, 7.5), "lacks 2 slices .* between 14.8 and 21.0 mm"),
        ((0, 1, 2, 3.6, 4.6, 5.6), "lacks 1 slice .* between 12.2 and 16.2 mm"),
        ((0, 1, 3), "lacks 1 slice .* between 9.8 and 14.8 mm"),
        ((0, 1.2, 2.2, 5, 6, 7, 9), "lacks 3 slices .* the first between 12.8 and 19.8 mm"),
    ],
)
@pytest.mark.parametrize("straighten", [False, True])
def test_a_gap_is_never_filled_with_invented_slices(tmp_path, heights, said, straighten):
    write_series(tmp_path, array_of()[: len(heights)], affine_of(), heights=heights)
    with pytest.raises(InputError, match=said):
        only(tmp_path, SourceOptions(straighten=straighten))


def test_varying_distances_are_refused_or_made_even(tmp_path):
    ramp = np.repeat(np.arange(10, dtype=np.int16)[:, None, None] * 100, 6, 1).repeat(6, 2)
    heights = np.array([0, 1, 2, 3, 4, 5, 6.4, 7.4, 8.4, 9.4])
    ramp[:] = (heights * 100)[:, None, None]
    write_series(tmp_path, ramp, affine_of(), heights=heights)
    with pytest.raises(InputError, match=r"2\.5 to 3\.5 mm apart.*--straighten"):
        only(tmp_path)
    image = only(tmp_path, SourceOptions(straighten=True))
    assert image.shape == (10, 6, 6)
    assert image.spacing[0] == pytest.approx(2.5, rel=1e-4)
    assert np.allclose(image.array[0, :, 3, 3], np.arange(10) * 100, atol=0.5)


def test_a_tilted_gantry_is_refused_or_straightened(tmp_path):
    affine = affine_of(sizes=(1.0, 1.0, 2.0))
    affine[1, 2] += 2 * np.tan(np.deg2rad(15))  # each slice further forward
    z, y, x = np.indices((20, 40, 40)).astype(float)
    place = np.stack([x, y, z, np.ones_like(x)], -1) @ affine.T
    ramp = np.rint(10 * (place[..., 1] - place[..., 1].min())).astype(np.int16)  # of anterior mm
    write_series(tmp_path, ramp, affine)
    (case,) = sources.find(tmp_path, None, NONE)
    with pytest.raises(InputError, match=r"15\.0 degrees.*--straighten"):
        case.read()
    (case,) = sources.find(tmp_path, None, SourceOptions(straighten=True))
    image, _ = case.read()
    assert not sheared(image.affine)
    assert image.spacing == pytest.approx((2.0, 1.0, 1.0), rel=1e-3)
    d, h, w = image.shape
    k, j = d // 2, h // 2
    there = (image.affine @ [w // 2, j, k, 1])[1] - place[..., 1].min()
    assert image.array[0, k, j, w // 2] == pytest.approx(10 * there, abs=1)


def enhanced(path, array, affine, times=1, told="TemporalPositionIndex", **values):
    """One multi-frame file, its frames in no order; ``array`` is ``(t * z, y, x)``."""
    data = header("all", "enhanced", SOPClassUID=ENHANCED_MR, Modality="MR", **values)
    order = np.random.default_rng(3).permutation(len(array))
    pixels(data, array[order])
    data.NumberOfFrames = len(array)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [sizes[1], sizes[0]], sizes[2]
    plane.ImageOrientationPatient = orientation(affine)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for i in order:
        group, here, content, scale = Dataset(), Dataset(), Dataset(), Dataset()
        time, k = divmod(int(i), len(array) // times)
        here.ImagePositionPatient = position(affine, k)
        setattr(content, told, f"2024011709595{time}.5" if "DateTime" in told else time + 1)
        scale.RescaleSlope, scale.RescaleIntercept = 2, int(i)
        group.PlanePositionSequence, group.FrameContentSequence = [here], [content]
        group.PixelValueTransformationSequence = [scale]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    pydicom.dcmwrite(path, data)


TIMES = [
    {"TemporalPositionIdentifier": (1, 2)},
    {"AcquisitionNumber": (1, 2)},
    {"EchoTime": (4.5, 9)},
    {"TriggerTime": (12.5, 110)},
    {"AcquisitionTime": ("095959.9", "100000.1")},
    {"AcquisitionTime": ("09:59:59", "100000")},  # as before DICOM 3
    {"AcquisitionDate": ("20231231", "20240101"), "AcquisitionTime": ("235959", "000001")},
    {"AcquisitionDateTime": ("20240117095959.9+0100", "20240117100000+0100")},
    {"ContentTime": ("095959.9", "100000.1")},
    {"ContentDate": ("20231231", "20240101"), "ContentTime": ("235959", "000001")},
]


def rewrite(path, name, value):
    """The file with another value of an element; None takes the element away."""
    data = pydicom.dcmread(path)
    if value is None:
        delattr(data, name)
    else:
        setattr(data, name, value)
    pydicom.dcmwrite(path, data)


def film(folder, tags):
    """Two volumes at the same positions, the later in the first files, told apart by ``tags``."""
    for time in (1, 0):
        array = array_of(10 + time)
        for path in write_series(
            folder / "ab"[1 - time], array, affine_of(), "film", AcquisitionNumber=time
        ):
            data = pydicom.dcmread(path)
            del data.AcquisitionNumber
            with pydicom.config.disable_value_validation():  # no scanner asks pydicom
                for name, values in tags.items():
                    setattr(data, name, values[time])
                data.save_as(path)


@pytest.mark.parametrize("tags", TIMES, ids=lambda tags: "+".join(tags))
def test_times_are_told_apart_by(tmp_path, tags):
    film(tmp_path, tags)
    first, second = read_all(tmp_path).values()
    assert np.array_equal(first.array[0], array_of(10))
    assert np.array_equal(second.array[0], array_of(11))


@pytest.mark.parametrize("tags", [{}, {"AcquisitionTime": ("noon", "evening")}])
def test_times_that_nothing_tells_apart_are_refused(tmp_path, tags):
    """Not mixed: a slice of each would be an image that nobody took."""
    film(tmp_path, tags)
    with pytest.raises(InputError, match="several slices at a position and nothing that tells"):
        only(tmp_path)


@pytest.mark.parametrize("told", ["TemporalPositionIndex", "FrameAcquisitionDateTime"])
def test_times_of_a_multi_frame_file(tmp_path, told):
    array = array_of(shape=(18, 12, 14))
    expected = 2 * array.astype(np.float32) + np.arange(18)[:, None, None]
    enhanced(tmp_path / "one", array, affine_of(), times=2, told=told)
    first, second = read_all(tmp_path).values()
    assert np.array_equal(first.array[0], expected[:9])
    assert np.array_equal(second.array[0], expected[9:])


def test_multi_frame_files(tmp_path):
    affine = affine_of((0, 1, 0), (0, 0, -1))
    array = array_of(shape=(18, 12, 14))
    expected = 2 * array.astype(np.float32) + np.arange(18)[:, None, None]
    enhanced(tmp_path / "one", array, affine)
    image = only(tmp_path)
    assert np.array_equal(image.array[0], expected)
    assert np.allclose(image.affine, affine, atol=1e-4)
    data = pydicom.dcmread(tmp_path / "one")
    del data.PerFrameFunctionalGroupsSequence
    data.save_as(tmp_path / "one")
    with pytest.raises(
        InputError, match=r"no readable DICOM image .several frames without a position"
    ):
        only(tmp_path)


@pytest.mark.parametrize("gone", ["RescaleSlope", "RescaleIntercept"])
def test_half_a_scale_of_one_frame_is_refused(tmp_path, gone):
    enhanced(tmp_path / "one", array_of(shape=(9, 12, 14)), affine_of())
    data = pydicom.dcmread(tmp_path / "one")
    delattr(data.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence[0], gone)
    data.save_as(tmp_path / "one")
    with pytest.raises(InputError, match="one of slope and intercept without the other"):
        only(tmp_path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_files(tmp_path, syntax):
    array = np.abs(array_of(shape=(3, 32, 32)))
    for path in write_series(tmp_path, array, affine_of()):
        reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(path))
        assert reader.Read()
        kinds = {
            RLELossless: gdcm.TransferSyntax.RLELossless,
            JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
            JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
            JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
        }
        change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(only(tmp_path).array[0], array)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("MR", "MR"), ("mr ", "MR"), ("MILLER", "OT"), ("", "OT"), (["CT", "MILLER"], "OT")],
)
def test_an_id_takes_only_modalities_that_dicom_defines(tmp_path, said, kept):
    with pydicom.config.disable_value_validation():
        write_series(tmp_path, array_of(), np.eye(4), Modality=said)
    (case,) = sources.find(tmp_path, None, SourceOptions())
    assert case.id.split("_")[1] == kept


def test_ids_do_not_depend_on_where_the_path_is_typed(tmp_path, monkeypatch):
    for path in write_series(tmp_path / "scans", array_of(), affine_of()):
        data = pydicom.dcmread(path)
        del data.SeriesInstanceUID, data.SOPInstanceUID, data.PatientID
        data.save_as(path)
    (case,) = sources.find(tmp_path / "scans", None, SourceOptions())
    monkeypatch.chdir(tmp_path)
    (same,) = sources.find(Path("scans"), None, SourceOptions())
    assert (same.id, same.patient) == (case.id, case.patient)


def test_what_is_no_scan_is_left_out_with_a_word(tmp_path, capsys):
    write_series(tmp_path / "scan", array_of(), affine_of())
    scout = write_series(
        tmp_path / "scout", array_of(1)[:2], affine_of(), "l", ImageType=["ORIGINAL", "LOCALIZER"]
    )
    report = header("r", "r", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    pydicom.dcmwrite(tmp_path / "report.dcm", report)
    (tmp_path / "DICOMDIR").write_bytes(b"no directory at all")
    (tmp_path / "notes.txt").write_text("by hand")
    assert only(tmp_path).shape == SHAPE
    said = capsys.readouterr().err
    assert "2 x localiser" in said
    assert "1 x report" in said
    assert "2 x file that is no DICOM" in said
    assert len(scout) == 2
    assert only(tmp_path / "DICOMDIR").shape == SHAPE
    shutil.rmtree(tmp_path / "scan")
    with pytest.raises(InputError, match="holds no image"):
        sources.find(tmp_path, None, NONE)


def test_photographs_in_dicom(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    fundus = header("f", "f", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.5.1", Modality="OP")
    pixels(fundus, colour)
    pydicom.dcmwrite(tmp_path / "fundus", fundus)
    image = only(tmp_path)
    assert image.affine is None
    assert np.array_equal(np.moveaxis(image.array, 0, -1), colour)
    buffer = io.BytesIO()
    smooth = Pillow.fromarray(colour).resize((48, 40))
    smooth.save(buffer, "JPEG", quality=95)
    fundus.PhotometricInterpretation = "YBR_FULL_422"
    pixels(fundus, np.asarray(smooth))
    fundus.PixelData = encapsulate([buffer.getvalue()])
    fundus.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    pydicom.dcmwrite(tmp_path / "fundus", fundus)
    shown = np.moveaxis(only(tmp_path).array, 0, -1)
    assert np.abs(shown - np.asarray(Pillow.open(buffer))).mean() < 2  # RGB, not YBR
    grey = np.random.default_rng(0).integers(0, 4096, (10, 12), dtype=np.uint16)
    film = header("x", "x", SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR")
    film.PhotometricInterpretation = "MONOCHROME1"
    pixels(film, grey)
    film.BitsStored, film.HighBit = 12, 11
    pydicom.dcmwrite(tmp_path / "fundus", film)
    assert np.array_equal(only(tmp_path).array[0], 4095 - grey)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    paths = write_series(tmp_path, array_of(), affine_of())
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[:-100])
    with pytest.raises(InputError, match=f"{paths[3].name} has pixels that cannot be decoded"):
        only(tmp_path)
    paths[3].write_bytes(whole[:180])
    cases = sources.find(tmp_path, None, NONE)
    assert len(cases) == 2
    with pytest.raises(InputError, match=f"{paths[3].name}"):
        [case.read() for case in cases if case.id.startswith("unreadable")]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ImagePositionPatient", ["nan", "0", "1"], "that no scan has"),
        ("ImagePositionPatient", ["0", "0", "1e308"], "that no scan has"),
        ("PixelData", None, r"cannot be decoded \(the file holds none\); restore"),
    ],
)
def test_what_a_slice_lacks_is_said(tmp_path, name, value, said):
    path = write_series(tmp_path, array_of(), affine_of())[3]
    with disable_value_validation():
        rewrite(path, name, value)
    (case,) = [case for case in sources.find(tmp_path, None, NONE) if path in case.images]
    with pytest.raises(InputError, match=said):
        case.read()


def test_slices_in_two_units_are_refused(tmp_path):
    scaled = {"RescaleSlope": 2, "RescaleIntercept": -1024}
    for path in write_series(tmp_path, array_of(), affine_of(), **scaled)[:3]:
        for name in scaled:
            rewrite(path, name, None)
    (case,) = sources.find(tmp_path, None, NONE)
    with pytest.raises(InputError, match="slices with a rescale slope and slices without"):
        case.read()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PixelSpacing", [2, 2], "10 slices became 2 images, for they differ in pixel size;"),
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, 1], "2 images, for they differ in orientation"),
        ("ImagePositionPatient", None, "10 slices became 6 images, for some have no position;"),
        ("InstanceNumber", 3, None),
    ],
)
def test_why_a_series_makes_several_images_is_remarked(tmp_path, name, value, said):
    array = array_of(shape=(10, 8, 9))
    for path in write_series(tmp_path, array, affine_of())[:5]:
        rewrite(path, name, value)
    told = [remark for case in sources.find(tmp_path, None, NONE) for remark in case.remarks]
    assert len(told) == (said is not None)
    assert (said or "") in " ".join(told)
    assert not any(secret in " ".join(told) for secret in SECRETS)


def test_photographs_of_one_series_are_no_parting(tmp_path):
    for path in write_series(tmp_path, array_of(), affine_of()):
        rewrite(path, "ImagePositionPatient", None)
    found = sources.find(tmp_path, None, NONE)
    assert len(found) == len(array_of())
    assert not any(case.remarks for case in found)


def test_nothing_of_the_patient_is_in_a_case(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "MILLER^Zacharias PID-0815" / "2024-01-17 CT ACC4711" / "chest"
    write_series(folder, array_of(), affine_of())
    write_series(folder, array_of(1)[:2], affine_of(), "l", ImageType=["A", "LOCALIZER"])
    (folder / "19481224.dcm").write_bytes(b"broken")
    found = sources.find(tmp_path, "dicom", NONE)
    broken, whole = sorted(found, key=lambda case: len(case.files))
    with pytest.raises(InputError) as refused:
        broken.read()
    told = [*whole.shown, *broken.shown, whole.id, whole.patient, broken.id, str(whole.stamp())]
    told += [str(refused.value), capsys.readouterr().err.replace(str(tmp_path), ""), whole.called]
    told = " ".join(told).casefold()
    assert "/chest/" in told
    for secret in SECRETS:
        assert secret.casefold() not in told
    assert whole.id.replace("_", "").isalnum()
    monkeypatch.setenv("SCANPRIOR_SALT", "of this house")
    assert whole.patient not in {c.patient for c in sources.find(tmp_path, "dicom", NONE)}


def test_patients_by_number_or_by_pattern(tmp_path):
    write_series(tmp_path, array_of(), affine_of(), "a", PatientID="A")
    write_series(tmp_path, array_of(), affine_of(), "b", PatientID="A")
    write_series(tmp_path, array_of(), affine_of(), "c", PatientID="B")
    found = sources.find(tmp_path, None, NONE)
    assert sorted(Counter(case.patient for case in found).values()) == [1, 2]
    named = sources.find(tmp_path, None, replace(NONE, patient="_([0-9a-f]+)$"))
    assert len({case.patient for case in named}) == 3


def segmentation(path, affine, label, series, *, overlap=False, shift=0.0):
    """DICOM-SEG of ``label (z, y, x)``: a frame a segment and slice where there is any of it."""
    data = header("seg", "seg", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")
    referenced = Dataset()
    referenced.SeriesInstanceUID = series
    data.ReferencedSeriesSequence, data.SegmentationType = [referenced], "BINARY"
    frames, groups = [], []
    for number in np.unique(label)[1:]:
        for k in np.flatnonzero((label == number).any((1, 2))):
            group, here, which = Dataset(), Dataset(), Dataset()
            here.ImagePositionPatient = position(affine, k + shift)
            which.ReferencedSegmentNumber = int(number)
            group.PlanePositionSequence, group.SegmentIdentificationSequence = [here], [which]
            frames.append(label[k] > 0 if overlap else label[k] == number)
            groups.append(group)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    measures.PixelSpacing, measures.SliceThickness = [sizes[1], sizes[0]], sizes[2]
    plane.ImageOrientationPatient = orientation(affine)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], groups
    pixels(data, np.stack(frames).astype(np.uint8))
    data.NumberOfFrames = len(frames)
    bits = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    data.BitsAllocated = data.BitsStored = 1
    data.HighBit, data.PixelData = 0, bits + b"\0" * (len(bits) % 2)
    pydicom.dcmwrite(path, data)


def test_a_segment_may_be_drawn_in_several_frames_of_a_slice(tmp_path):
    affine, label = affine_of((0, 1, 0), (0, 0, -1)), np.zeros(SHAPE, np.uint8)
    label[2, 3:7, 4:9], label[3, 3:9, 2:9] = 1, 1
    write_series(tmp_path, array_of(), affine, "drawn")
    segmentation(tmp_path / "seg", affine, label, uid("drawn"))
    data = pydicom.dcmread(tmp_path / "seg")
    first, second = data.PerFrameFunctionalGroupsSequence
    second.PlanePositionSequence = first.PlanePositionSequence
    data.save_as(tmp_path / "seg")
    (case,) = sources.find(tmp_path, None, NONE)
    read = case.read()[1].array[0]
    assert np.array_equal(read[2], label[2] | label[3])
    assert np.count_nonzero(read) == np.count_nonzero(read[2])


def test_segments_are_the_label_map_of_their_series(tmp_path, capsys):
    affine = affine_of((0, 1, 0), (0, 0, -1))
    label = np.zeros(SHAPE, np.uint8)
    label[2:5, 3:7, 4:9], label[5:8, 1:4, 2:5] = 1, 3
    write_series(tmp_path, array_of(), affine, "drawn")
    write_series(tmp_path / "other", array_of(1), affine, "other")
    segmentation(tmp_path / "seg", affine, label, uid("drawn"))
    cases = {case.label is not None: case for case in sources.find(tmp_path, None, NONE)}
    assert (cases[True].partition, cases[False].partition) == ("train", "unlabelled")
    image, read = cases[True].read()
    assert np.array_equal(read.array[0], label)
    assert np.array_equal(image.array[0], array_of())
    assert replace(cases[True], label=None).read()[1] is None
    assert capsys.readouterr().err == ""
    segmentation(tmp_path / "seg", affine, label + 4 * (label == 0), uid("drawn"), shift=0.4)
    with pytest.raises(InputError, match="seg does not lie on the voxels"):
        [case.read() for case in sources.find(tmp_path, None, NONE)]
    label[3, 4, 5] = 3
    segmentation(tmp_path / "seg", affine, label, uid("drawn"), overlap=True)
    with pytest.raises(InputError, match="segments that overlap"):
        [case.read() for case in sources.find(tmp_path, None, NONE)]
    shutil.rmtree(tmp_path / "other")
    write_series(tmp_path / "b", array_of(), affine, "drawn", AcquisitionNumber=2)
    assert len(sources.find(tmp_path, None, NONE)) == 2
    assert "1 x segmentation" in capsys.readouterr().err
