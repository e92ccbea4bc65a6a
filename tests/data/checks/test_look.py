"""Files broken on disk, each in one way: the case's findings name the file and the fault."""

import gzip
from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
import pytest

from scanprior.data import sources
from scanprior.data.below import base_of
from scanprior.data.checks.look import look
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.decathlon import declared
from tests.data.dicom_files import write_series
from tests.doctor.scans import AFFINE, SHAPE, describe, label, save, scan, sound

IMAGE, LABEL = "imagesTr/c01.nii.gz", "labelsTr/c01.nii.gz"
SHIFTED = AFFINE + 0.5 * np.outer([1, 0, 0, 0], [0, 0, 0, 1])


@pytest.fixture
def source(tmp_path):
    return sound(tmp_path / "scans")


def looked(source):
    cases = sources.find(source, None, SourceOptions())
    base = base_of(source)
    work = partial(look, base=base, said=declared(source))
    return {case.id: work(case) for case in cases}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(bytes(data))


def with_nan(path):
    array = scan(1)
    array[2, 3, 4] = np.nan
    save(path, array)


def askew(path):
    affine = AFFINE.copy()
    affine[0, 1] = 0.4
    save(path, scan(1), affine)
    save(path.parents[1] / LABEL, label(1), affine)


def askew_and_thick(path):
    """Its slices are 30 mm apart, which is odd, but not why it is refused."""
    affine = AFFINE @ np.diag([1, 1, 25, 1])
    affine[0, 1] = 0.4
    save(path, scan(1), affine)
    save(path.parents[1] / LABEL, label(1), affine)


def flat(path):
    """The third row of the affine is 0, as where a converter knew of two axes only."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[252:254] = bytes(2)  # qform_code
    data[312:328] = bytes(16)  # srow_z
    path.write_bytes(gzip.compress(bytes(data)))


def test_sound(source):
    for case in looked(source).values():
        assert case.findings == ()
        assert case.image is not None
        assert case.label is not None


def of_two_forms(path):
    """Its qform lies 6 mm beside its sform."""
    image = nib.Nifti1Image(label(1) if path.parent.name == "labelsTr" else scan(1), AFFINE)
    image.set_qform(AFFINE + 6 * np.outer([1, 0, 0, 0], [0, 0, 0, 1]), 1)
    nib.save(image, path)


def without_orientation(path):
    """As :func:`sound` has it, but with neither form; the label map follows."""
    for file in (path, path.parents[1] / LABEL):
        image = nib.load(file)
        bare = nib.Nifti1Image(np.asanyarray(image.dataobj), None)
        bare.header.set_zooms(image.header.get_zooms())
        nib.save(bare, file)


BREAK = {
    "missing": (IMAGE, lambda path: path.unlink()),
    "empty": (IMAGE, lambda path: path.write_bytes(b"")),
    "truncated": (IMAGE, cut),
    "unreadable": (IMAGE, flip),
    "NaN or infinity": (IMAGE, with_nan),
    "constant": (IMAGE, lambda path: save(path, np.full(SHAPE, 7, np.float32))),
    "channels": (IMAGE, lambda path: save(path, scan(1, (*SHAPE, 2)))),
    "spacing": (IMAGE, flat),
    "grids differ": (LABEL, lambda path: save(path, label(1), SHIFTED)),
    "label values": (LABEL, lambda path: save(path, label(1) + np.uint8(2))),
    "empty label": (LABEL, lambda path: save(path, np.zeros(SHAPE, np.uint8))),
    "two forms": (IMAGE, of_two_forms),
    "no orientation": (IMAGE, without_orientation),
    "float label": (LABEL, lambda path: save(path, label(1).astype(np.float32))),
}


@pytest.mark.parametrize("check", BREAK)
def test_one_fault(source, check):
    name, fault = BREAK[check]
    fault(source / name)
    seen = looked(source)
    assert [finding.check for finding in seen["c01"].findings] == [check]
    (finding,) = seen["c01"].findings
    assert finding.file == name
    assert name in finding.sentence
    assert finding.cases == ("c01",)
    assert seen["c00"].findings == seen["c02"].findings == ()


@pytest.mark.parametrize(
    ("name", "fault", "check"),
    [
        (LABEL, cut, "truncated"),
        (LABEL, lambda path: save(path, label(1) * np.float32(0.4)), "label values"),
        (LABEL, lambda path: save(path, label(1).astype(np.int16) - np.int16(1)), "label values"),
        (LABEL, lambda path: save(path, label(1)[1:]), "grids differ"),
        (LABEL, with_nan, "NaN or infinity"),
        (LABEL, of_two_forms, "two forms"),
        (IMAGE, lambda path: path.write_bytes(b"text, not a scan"), "unreadable"),
        (IMAGE, lambda path: save(path, scan(1).astype(np.complex64)), "refused"),
        (IMAGE, askew, "refused"),
        (IMAGE, askew_and_thick, "refused"),
        (IMAGE, lambda path: save(path, scan(1), np.diag([900, 900, 900, 1])), "spacing"),
    ],
)
def test_more_faults(source, name, fault, check):
    fault(source / name)
    finding = looked(source)["c01"].findings[0]
    assert (finding.check, finding.file) == (check, name)


@pytest.mark.parametrize(
    ("size", "check"), [(1e-7, None), (1e-4, "grid noise"), (1e-2, "grids differ")]
)
def test_rounding_of_grids(source, size, check):
    affine = AFFINE + size * np.outer([0, 0, 1, 0], [0, 0, 0, 1])
    for path in (source / IMAGE, source / LABEL):  # float64 in neither header: compare what is kept
        image = nib.load(path)
        save(
            path, np.asanyarray(image.dataobj), affine if path.parent.name == "labelsTr" else AFFINE
        )
    assert [f.check for f in looked(source)["c01"].findings] == ([check] if check else [])


def test_a_file_of_many_times_is_warned_of_once(tmp_path):
    image = nib.Nifti1Image(scan(0, (*SHAPE, 3)), AFFINE)
    image.set_qform(AFFINE + 6 * np.outer([1, 0, 0, 0], [0, 0, 0, 1]), 1)
    nib.save(image, tmp_path / "film.nii")
    cases = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    found = [look(case, tmp_path, declared(tmp_path)).findings for case in cases]
    assert [len(findings) for findings in found] == [1, 0, 0]
    assert found[0][0].sentence == (
        "film.nii has an sform and a qform that lie 6 mm apart; the sform was taken, so correct "
        "its header if the qform is right."
    )


def test_of_a_damaged_time_the_time_is_named(tmp_path):
    film = np.ones((*SHAPE, 3, 2), np.float32) * scan(0)[..., None, None]
    film[..., 1, 0][2, 3, 4] = np.nan
    save(tmp_path / "film.nii", film)
    cases = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    found = [look(case, tmp_path, declared(tmp_path)).findings for case in cases]
    assert [[f.check for f in findings] for findings in found] == [[], ["NaN or infinity"], []]


def test_large_files_stay_closed(source, monkeypatch):
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", "2000")
    seen = looked(source)["c00"]
    assert {finding.check for finding in seen.findings} == {"huge"}
    assert seen.image is None


def test_every_channel_file_is_compared(tmp_path):
    for channel, shift in ((0, 0.0), (1, 0.01)):
        affine = AFFINE + shift * np.outer([1, 0, 0, 0], [0, 0, 0, 1])
        save(tmp_path / f"imagesTr/a_000{channel}.nii.gz", scan(channel), affine)
    describe(tmp_path, channel_names={"0": "T1", "1": "T2"})
    (finding,) = looked(tmp_path)["a"].findings
    assert (finding.check, finding.file) == ("grids differ", "imagesTr/a_0001.nii.gz")


def foreseen_by_nobody(case):
    raise KeyError(7)


def test_a_reader_that_fails_in_an_unknown_way_is_reported(source):
    case = replace(sources.find(source, None, SourceOptions())[0], load=foreseen_by_nobody)
    seen = look(case, base=source, said=declared(source))
    assert [finding.check for finding in seen.findings] == ["unreadable"]
    assert "KeyError: 7" in seen.findings[0].sentence


def locked(case):
    raise PermissionError(13, "Permission denied", str(case.images[0]))


def test_a_file_that_fails_in_an_unknown_way_may_have_a_patients_name(tmp_path):
    array = np.zeros((3, 4, 5), np.int16)
    write_series(tmp_path / "MILLER^Zacharias", array, np.eye(4))
    (found,) = sources.find(tmp_path, "dicom", SourceOptions())
    seen = look(replace(found, load=locked), base=tmp_path, said=declared(tmp_path))
    (finding,) = seen.findings
    assert "PermissionError" in finding.sentence
    assert "miller" not in str(seen).casefold()


def test_a_series_is_looked_at_as_other_scans_are(tmp_path):
    """Its files are found wanting one by one, and its voxel sizes before anything is decoded."""
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    paths = write_series(tmp_path / "in", array, np.diag([900.0, 900.0, 900.0, 1.0]))
    (case,) = sources.find(tmp_path, None, SourceOptions())
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    seen = look(case, base=tmp_path, said=declared(tmp_path))
    assert [finding.check for finding in seen.findings] == ["unreadable", "spacing"]
    assert f"in/{paths[1].name} has pixels" in seen.findings[0].sentence
    assert "900 x 900 x 900 mm" in seen.findings[1].sentence
    paths[1].write_bytes(b"")
    (finding,) = look(case, base=tmp_path, said=declared(tmp_path)).findings
    assert (finding.check, finding.file) == ("empty", f"in/{paths[1].name}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_noise_in_headers_ends_in_findings(tmp_path, seed):
    """200 files with a few random bytes in their header, some of them cut, some compressed."""
    draw = np.random.default_rng(seed)
    save(tmp_path / "a.nii", scan(0, (6, 7, 8)))
    good = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "in").mkdir()
    for i in range(200):
        data = bytearray(good)
        for _ in range(draw.integers(1, 6)):
            data[draw.integers(0, 352)] = draw.integers(0, 256)
        text = bytes(data[: draw.integers(0, len(data))] if i % 5 == 0 else data)
        name = tmp_path / f"in/m{i:03}.nii"
        if i % 3 == 0:
            name, text = name.with_suffix(".nii.gz"), gzip.compress(text)
        name.write_bytes(text)
    seen = looked(tmp_path / "in")
    found = [finding for one in seen.values() for finding in one.findings]
    assert len(seen) == 200
    assert all(one.errors for one in seen.values() if one.image is None)
    assert {"truncated", "unreadable"} <= {finding.check for finding in found}
    for finding in found:
        assert finding.sentence.startswith(finding.file)
        assert finding.sentence.endswith(".")
        assert "\n" not in finding.sentence
