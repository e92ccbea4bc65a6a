"""A label map written as DICOM-SEG comes back as it was: through our reader and highdicom's."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import Case, SourceOptions
from scanprior.data.sources import dicom_seg_write as writer
from scanprior.data.sources.dicom_read import frames_of
from scanprior.data.store import Store
from tests.data.dicom_files import LPS, SECRETS, pixels, position, uid, write_series
from tests.data.test_dicom import NONE, affine_of, array_of, enhanced, header

SHAPE = (9, 11, 13)  # 143 pixels: frames begin within bytes
MODEL = "ab" * 32
NAMES = ("liver", "Tümör\\2", "x" * 80)


def boxes(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Two boxes; the second class is nowhere, and so are the first and the last slice."""
    label = np.zeros(shape, np.uint8)
    label[2:5, 3:7, 4:9], label[4:8, 1:3, 2:5] = 1, 3  # slice 4 has both
    return label


def drawn(case: Case, label: np.ndarray, path: Path, names: tuple[str, ...] = NAMES) -> None:
    image, _ = case.read()
    assert image.shape == label.shape
    made = writer.segmentation(frames_of(case), label, image, names, MODEL)
    writer.write_segmentation(path, made)


def only(source: Path, options: SourceOptions = NONE) -> Case:
    (case,) = sources.find(source, None, options)
    return case


ORIENTATIONS = [
    ((1, 0, 0), (0, 1, 0), 0),  # axial, feet first
    ((-1, 0, 0), (0, -1, 0), 0),
    ((-1, 0, 0), (0, 1, 0), 0),  # the normal points down: slices in the other order
    ((0, 1, 0), (0, 0, -1), 0),  # sagittal
    ((1, 0, 0), (0, 0, -1), 0),  # coronal
    ((1, 0, 0), (0, 0, -1), 23.0),  # oblique
]


@pytest.mark.parametrize(("rows", "columns", "turn"), ORIENTATIONS)
@pytest.mark.parametrize("frames", ["single", "multi"])
def test_what_is_written_is_read_back(tmp_path, rows, columns, turn, frames):
    affine, label = affine_of(rows, columns, turn=float(turn)), boxes()
    if frames == "single":
        write_series(tmp_path / "s", array_of(shape=SHAPE), affine, "s", FrameOfReferenceUID="1.2")
    else:
        enhanced(tmp_path / "s", array_of(shape=SHAPE), affine, FrameOfReferenceUID="1.2")
    path = tmp_path / "seg"
    drawn(only(tmp_path), label, path)
    _, read = only(tmp_path).read()
    assert read is not None
    assert np.array_equal(read.array[0], label)
    seg = highdicom.seg.segread(path)
    assert seg.FrameOfReferenceUID == "1.2"
    assert [d.segment_label for d in seg.SegmentSequence] == ["liver", "Tümör/2", "x" * 64]
    volume = seg.get_volume(combine_segments=True)
    for value in (1, 3):  # the mm where any of it is are those where it was drawn
        theirs = mm(np.argwhere(volume.array == value), volume.affine)
        ours = mm(np.argwhere(label == value)[:, ::-1], LPS @ affine)
        assert np.allclose(theirs, ours, atol=1e-3)


def mm(index: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The places in mm of voxels ``(n, 3)``, sorted."""
    places = index @ affine[:3, :3].T + affine[:3, 3]
    return places[np.lexsort(np.round(places, 2).T)]


def test_each_frame_names_the_image_that_it_lies_on(tmp_path):
    affine = affine_of((0, 1, 0), (0, 0, -1))
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine, "s")
    drawn(only(tmp_path), boxes(), tmp_path / "seg")
    images = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, paths)}
    seg = pydicom.dcmread(tmp_path / "seg")
    one = next(iter(images.values()))
    assert seg.StudyInstanceUID == one.StudyInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == one.SeriesInstanceUID
    assert seg.SeriesInstanceUID != one.SeriesInstanceUID
    assert seg.PatientID == one.PatientID
    assert len(seg.PerFrameFunctionalGroupsSequence) == 7  # empty slices have no frame, slice 4 two
    for group in seg.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[source.ReferencedSOPInstanceUID]
        assert source.ReferencedSOPClassUID == image.SOPClassUID
        assert "ReferencedFrameNumber" not in source
        here = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(here, image.ImagePositionPatient, atol=1e-6)
    listed = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in listed} == set(images)


def test_a_multi_frame_source_is_named_frame_by_frame(tmp_path):
    affine = affine_of()
    enhanced(tmp_path / "s", array_of(shape=(18, 11, 13)), affine, times=2)
    first, second = sources.find(tmp_path, None, NONE)
    drawn(second, boxes(), tmp_path / "seg")
    source, seg = pydicom.dcmread(tmp_path / "s"), pydicom.dcmread(tmp_path / "seg")
    groups = source.PerFrameFunctionalGroupsSequence
    for group in seg.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        its = groups[item.ReferencedFrameNumber - 1]
        assert its.FrameContentSequence[0].TemporalPositionIndex == 2
        here = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(here, its.PlanePositionSequence[0].ImagePositionPatient, atol=1e-6)
    assert first.id != second.id


def test_of_several_times_it_belongs_to_the_one_it_names(tmp_path):
    for time in (1, 2):
        array = array_of(time, SHAPE)
        write_series(tmp_path / str(time), array, affine_of(), "s", AcquisitionNumber=time)
    second = sources.find(tmp_path, None, NONE)[1]
    drawn(second, boxes(), tmp_path / "seg")
    first, second = sources.find(tmp_path, None, NONE)
    assert first.label is None
    read = second.read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], boxes())
    channels = only(tmp_path, SourceOptions(fourth_axis="channels"))
    drawn(channels, boxes(), tmp_path / "seg")  # of all times
    read = only(tmp_path, SourceOptions(fourth_axis="channels")).read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], boxes())


@pytest.mark.parametrize("label", [boxes(), np.zeros(SHAPE, np.uint8)], ids=["boxes", "nothing"])
def test_of_several_times_in_one_file_each_has_its_own(tmp_path, label):
    enhanced(tmp_path / "s", array_of(shape=(18, 11, 13)), affine_of(), times=2)
    first, second = sources.find(tmp_path, None, NONE)
    other = np.flip(label, 2).copy()
    drawn(second, label, tmp_path / "a")
    found = sources.find(tmp_path, None, NONE)
    assert [case.label and case.label.name for case in found] == [None, "a"]
    drawn(first, other, tmp_path / "b")
    segs = [pydicom.dcmread(tmp_path / name) for name in "ab"]
    assert segs[0].SOPInstanceUID != segs[1].SOPInstanceUID
    assert segs[0].SeriesInstanceUID == segs[1].SeriesInstanceUID
    assert segs[0].InstanceNumber != segs[1].InstanceNumber
    for case, expected in zip(sources.find(tmp_path, None, NONE), (other, label), strict=True):
        read = case.read()[1]
        assert read is not None
        assert np.array_equal(read.array[0], expected)


def test_a_frame_number_that_is_needless_counts_for_the_image(tmp_path):
    for time in (1, 2):
        array = array_of(time, SHAPE)
        write_series(tmp_path / str(time), array, affine_of(), "s", AcquisitionNumber=time)
    everywhere = np.ones(SHAPE, np.uint8)  # so that every image is named by a frame
    drawn(sources.find(tmp_path, None, NONE)[1], everywhere, tmp_path / "seg")
    seg = pydicom.dcmread(tmp_path / "seg")
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = 1
    seg.save_as(tmp_path / "seg")
    assert [case.label is None for case in sources.find(tmp_path, None, NONE)] == [True, False]


def test_of_two_segmentations_of_one_volume_the_user_chooses(tmp_path, capsys):
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    drawn(only(tmp_path), boxes(), tmp_path / "b.dcm")
    other = np.flip(boxes(), 1).copy()
    drawn(only(tmp_path / "s"), other, tmp_path / "a.dcm")
    case = only(tmp_path)
    with pytest.raises(InputError, match=r"several segmentations, a\.dcm and b\.dcm"):
        case.read()
    assert replace(case, label=None).read()[1] is None  # to predict it no label map is needed
    for part, expected in (("a.", other), ("b.", boxes())):
        found = sources.search(tmp_path, None, SourceOptions(label=part))
        read = found.cases[0].read()[1]
        assert read is not None
        assert np.array_equal(read.array[0], expected)
        assert found.left_out == ("1 x segmentation",)
    assert sources.find(tmp_path, None, SourceOptions(label="none"))[0].label is None


def test_a_copy_of_a_segmentation_is_no_second_one(tmp_path):
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    drawn(only(tmp_path), boxes(), tmp_path / "a.dcm")
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "a.dcm").read_bytes())
    _, read = only(tmp_path).read()
    assert read is not None
    assert np.array_equal(read.array[0], boxes())
    assert sources.search(tmp_path, None, NONE).left_out == ()


def test_a_number_that_means_two_things_is_remarked(tmp_path):
    for name, names in (("one", NAMES), ("two", NAMES), ("three", ("spleen", *NAMES[1:]))):
        write_series(tmp_path / name, array_of(shape=SHAPE), affine_of(), name)
        drawn(only(tmp_path / name), boxes(), tmp_path / name / "seg", names)
    told = [remark for case in sources.find(tmp_path, None, NONE) for remark in case.remarks]
    assert told
    assert all("calls segment 1 otherwise than that of" in remark for remark in told)
    assert not any("spleen" in remark or "liver" in remark for remark in told)


def test_a_resampled_scan_is_drawn_on_its_own_slices(tmp_path):
    heights = np.array([0, 1, 2, 3, 4.4, 5.4, 6.4, 7.4, 8.4])
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s", heights=heights)
    uneven = SourceOptions(straighten=True)
    drawn(only(tmp_path, uneven), boxes(), tmp_path / "seg")
    seg = highdicom.seg.segread(tmp_path / "seg")
    positions = {tuple(position(affine_of(), height)) for height in heights}
    found = 0
    for group in seg.PerFrameFunctionalGroupsSequence:
        here = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        distance = np.abs(np.array(sorted(positions)) - here).max(1).min()
        assert distance < 1e-5
        found += 1
    assert found == 7  # at 2, 3, 4.4 (twice), 5.4, 6.4 and 7.4
    read = only(tmp_path, uneven).read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], boxes())


def test_a_tilted_gantry_is_drawn_on_its_own_slices(tmp_path):
    affine = affine_of(sizes=(1.0, 1.0, 2.0))
    affine[1, 2] += 2 * np.tan(np.deg2rad(15))
    shape = (20, 40, 41)
    box = np.zeros(shape, np.int16)
    box[5:15, 10:25, 12:30] = 1000  # what is bright where it was scanned
    write_series(tmp_path / "s", box, affine, "s")
    case = only(tmp_path, SourceOptions(straighten=True))
    image, _ = case.read()
    label = (image.array[0] > 500).astype(np.uint8)
    drawn(case, label, tmp_path / "seg", ("box",))
    seg = highdicom.seg.segread(tmp_path / "seg")
    frames = {uid("s", f"{k} None"): k for k in range(20)}
    back = np.zeros(shape, bool)
    numbers = [
        frames[g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        for g in seg.PerFrameFunctionalGroupsSequence
    ]
    back[numbers] = seg.pixel_array > 0
    dice = 2 * (back & (box > 0)).sum() / (back.sum() + (box > 0).sum())
    assert dice > 0.95


def test_prepare_takes_it_as_the_label_map_of_the_same_images(tmp_path):
    affine, label = affine_of((1, 0, 0), (0, 0, -1), turn=11.0), boxes()
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine, "s")
    run_prepare(Prepare(source=tmp_path / "s", store=tmp_path / "without", workers=1))
    drawn(only(tmp_path / "s"), label, tmp_path / "s" / "seg")
    run_prepare(Prepare(source=tmp_path / "s", store=tmp_path / "store", workers=1))
    (before,), (after,) = Store(tmp_path / "without"), Store(tmp_path / "store")
    assert np.array_equal(before.read(), after.read())
    assert np.bincount(after.read_label().ravel()).tolist() == np.bincount(label.ravel()).tolist()
    told = json.dumps([after.record, *map(str, tmp_path.rglob("store/**"))])
    assert not [secret for secret in SECRETS if secret in told]


def test_it_stays_with_the_copy_that_is_kept(tmp_path):
    """Drawn on a series that falls out, for another patient's holds all of its images and more."""
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    other = tmp_path / "other"
    other.mkdir()
    for path in paths[:-2]:
        data = pydicom.dcmread(path)
        data.PatientID = "hidden"
        data.save_as(other / path.name)
    label = boxes()[:-2]
    drawn(only(other), label, tmp_path / "seg")
    _, read = only(tmp_path).read()
    assert read is not None
    assert np.array_equal(read.array[0, :-2], label)
    assert not read.array[0, -2:].any()


def test_headers_that_are_odd_or_poor(tmp_path, caplog, capsys):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    with writer.quiet():
        for k, path in enumerate(paths):
            data = pydicom.dcmread(path)
            del data.AccessionNumber, data.StudyDate
            data.PatientBirthDate, data.PatientSex = "24.12.1948", "unknown"
            data.PatientName, data.SpecificCharacterSet = "Müller^Zoë", "ISO_IR 100"
            data.StudyTime, data.SOPClassUID = "noon", "1.3.12.2.1107.5.9.1"
            data.ImageOrientationPatient = [1, 1e-5 * k, 0, 0, 1, 0]
            data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
            data.save_as(path)
    with caplog.at_level(logging.DEBUG):
        drawn(only(tmp_path), boxes(), tmp_path / "seg")
    read = only(tmp_path).read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], boxes())
    with writer.quiet():
        seg = pydicom.dcmread(tmp_path / "seg")
        assert str(seg.PatientName) == "Müller^Zoë"
        assert seg["PatientBirthDate"].value == "24.12.1948"
    assert seg.FrameOfReferenceUID  # the source has none, but a SEG must
    told = caplog.text + "".join(capsys.readouterr())
    assert not [s for s in (*SECRETS, "Müller", "Zoë", "24.12") if s in told]


def changed(paths: list[Path], **values: object) -> None:
    """Give the files these values; a value of None takes the old one away."""
    with writer.quiet():
        for path in paths:
            data = pydicom.dcmread(path)
            for name, value in values.items():
                if value is None:
                    delattr(data, name)
                else:
                    setattr(data, name, value)
            data.save_as(path)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"SliceThickness": "1", "SpacingBetweenSlices": "2.5"}, 1.0),
        ({"SliceThickness": None}, 2.5),
        ({"SliceThickness": "nan", "SpacingBetweenSlices": "2.5"}, 2.5),
        ({"SliceThickness": "inf", "SpacingBetweenSlices": "2.5"}, 2.5),
        ({"SliceThickness": "0"}, 2.5),
    ],
)
def test_the_thickness_is_the_source_s_own(tmp_path, said, expected):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    changed(paths, **said)
    drawn(only(tmp_path), boxes(), tmp_path / "seg")
    assert thickness(tmp_path / "seg") == expected
    read = only(tmp_path).read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], boxes())


def test_the_thickness_of_frames_and_of_one_slice(tmp_path):
    enhanced(tmp_path / "s", array_of(shape=SHAPE), affine_of())
    data = pydicom.dcmread(tmp_path / "s")
    data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = 1.25
    data.save_as(tmp_path / "s")
    drawn(only(tmp_path), boxes(), tmp_path / "seg")
    assert thickness(tmp_path / "seg") == 1.25
    (path,) = write_series(tmp_path / "one", array_of(shape=(1, 11, 13)), affine_of(), "o")
    changed([path], SliceThickness=None)
    drawn(only(tmp_path / "one"), np.ones((1, 11, 13), np.uint8), tmp_path / "seg", ("box",))
    assert thickness(tmp_path / "seg") is None  # nothing says it


def thickness(path: Path) -> float | None:
    (measures,) = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    return measures.get("SliceThickness")


@pytest.mark.parametrize(
    "name", ["FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"]
)
def test_of_two_uids_in_one_place_the_first_counts(tmp_path, name):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    changed(paths, **{name: ["1.2.3", "1.2.4"]})
    drawn(only(tmp_path), boxes(), tmp_path / "seg")
    seg = pydicom.dcmread(tmp_path / "seg")
    series, image = seg.ReferencedSeriesSequence[0], seg.SourceImageSequence[0]
    theirs = {"SeriesInstanceUID": series.SeriesInstanceUID}
    theirs["SOPClassUID"] = image.ReferencedSOPClassUID
    assert theirs.get(name, seg.get(name)) == "1.2.3"


def test_a_header_that_cannot_be_copied_is_refused_in_our_words(tmp_path):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    changed(paths, LossyImageCompressionRatio="123456", LossyImageCompression="01")
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"123456", b"Miller"))
    with pytest.raises(InputError, match=r"no DICOM-SEG can be made of .*damaged") as refused:
        drawn(only(tmp_path), boxes(), tmp_path / "seg")
    assert "Miller" not in str(refused.value)
    made = Dataset()
    made.PatientName = "Miller"
    with pytest.raises(InputError, match=r"cannot be written again .*damaged") as refused:
        writer.write_segmentation(tmp_path / "seg", made)
    assert "Miller" not in str(refused.value)
    with pytest.raises(FileNotFoundError):  # a disk's error stays one
        writer.write_segmentation(tmp_path / "nowhere" / "seg", whole(tmp_path))


def whole(tmp_path: Path) -> pydicom.Dataset:
    write_series(tmp_path / "w", array_of(shape=SHAPE), affine_of(), "w")
    case = only(tmp_path / "w")
    return writer.segmentation(frames_of(case), boxes(), case.read()[0], NAMES, MODEL)


def test_the_same_prediction_is_the_same_object(tmp_path, monkeypatch):
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    case = only(tmp_path)
    image, _ = case.read()

    def made(label: np.ndarray, model: str = MODEL) -> pydicom.Dataset:
        return writer.segmentation(frames_of(case), label, image, NAMES, model)

    first, again = made(boxes()), made(boxes())
    assert first.SOPInstanceUID == again.SOPInstanceUID
    clock = {"InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"}
    clock |= {"ContributingEquipmentSequence"}  # it has a time too
    assert {element.keyword for element in first if element != again[element.tag]} <= clock
    other, better = made(np.flip(boxes(), 1).copy()), made(boxes(), "cd" * 32)
    assert len({d.SOPInstanceUID for d in (first, other, better)}) == 3
    assert first.SeriesInstanceUID == other.SeriesInstanceUID
    assert first.SeriesInstanceUID != better.SeriesInstanceUID
    monkeypatch.setattr(writer, "__version__", "99.0")
    later = made(boxes())
    assert later.SoftwareVersions != first.SoftwareVersions
    assert later.SOPInstanceUID != first.SOPInstanceUID


def test_nothing_found_is_a_map_of_nothing(tmp_path):
    write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    drawn(only(tmp_path), np.zeros(SHAPE, np.uint8), tmp_path / "seg")
    read = only(tmp_path).read()[1]
    assert read is not None
    assert read.array.max() == 0


def test_a_series_without_uids_is_refused(tmp_path):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    data = pydicom.dcmread(paths[0])
    del data.SOPInstanceUID
    data.save_as(paths[0])
    with pytest.raises(InputError, match="no UIDs that a DICOM-SEG could refer to"):
        drawn(only(tmp_path), boxes(), tmp_path / "seg")


def test_a_series_that_has_changed_since_is_refused(tmp_path):
    paths = write_series(tmp_path / "s", array_of(shape=SHAPE), affine_of(), "s")
    case = only(tmp_path)
    image, _ = case.read()
    paths[1].unlink()
    with pytest.raises(InputError, match=r"cannot be read again .*restore it"):
        writer.segmentation(frames_of(case), boxes(), image, NAMES, MODEL)


def test_a_single_slice(tmp_path):
    shape = (1, 11, 13)
    label = np.zeros(shape, np.uint8)
    label[0, 2:5, 3:9] = 1
    write_series(tmp_path / "s", array_of(shape=shape), affine_of(), "s")
    drawn(only(tmp_path), label, tmp_path / "seg", ("box",))
    read = only(tmp_path).read()[1]
    assert read is not None
    assert np.array_equal(read.array[0], label)


def test_without_highdicom_it_says_what_to_install(monkeypatch):
    writer.check_installed()
    monkeypatch.setattr(writer, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'scanprior\[dicom-seg\]'"):
        writer.check_installed()


def test_photographs_are_no_series(tmp_path):
    fundus = header("f", "f", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.5.1", Modality="OP")
    pixels(fundus, np.zeros((10, 12), np.uint8) + 7)
    pydicom.dcmwrite(tmp_path / "fundus", fundus)
    assert frames_of(only(tmp_path)) == ()
