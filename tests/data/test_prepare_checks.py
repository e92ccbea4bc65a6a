"""prepare looks at every scan as doctor does: errors of a scan are rejected, warnings are told and
kept, and so is what is odd between scans."""

import json

import numpy as np
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data import prepare
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import Case
from scanprior.data.store import Store
from scanprior.doctor import Doctor, run_doctor
from tests.data.dicom_files import write_series
from tests.doctor.scans import AFFINE, describe, label, save, scan, sound

IMAGE, LABEL = "imagesTr/c01.nii.gz", "labelsTr/c01.nii.gz"
BESIDE = AFFINE + 0.01 * np.outer([1, 0, 0, 0], [0, 0, 0, 1])


@pytest.fixture
def source(tmp_path):
    return sound(tmp_path / "scans")


def prepared(source, **settings):
    return run_prepare(Prepare(source=source, store=source.parent / "store", workers=1, **settings))


def listed(source, file):
    path = source.parent / "store" / file
    return json.loads(path.read_text()) if path.is_file() else []


def damaged(path):
    """A byte of the checksum behind all voxels."""
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(bytes(data))


def askew_and_thick(path):
    affine = AFFINE @ np.diag([1, 1, 25, 1])
    affine[0, 1] = 0.4
    save(path, scan(1), affine)
    save(path.parents[1] / LABEL, label(1), affine)


def doctored(source, **settings):
    out = source.parent / "doctor"
    return run_doctor(Doctor(source=source, out=out, workers=1, pictures=0, **settings))["findings"]


ERRORS = {
    "does not exist": (IMAGE, lambda path: path.unlink()),
    "lies askew": (IMAGE, askew_and_thick),
    "label 5, 6, 7": (LABEL, lambda path: save(path, label(1) + np.uint8(5))),
    "0.0111 voxels beside": (LABEL, lambda path: save(path, label(1), BESIDE)),
    "own checksum": (IMAGE, damaged),
    "declares 1": (IMAGE, lambda path: save(path, scan(1, (*scan(1).shape, 2)))),
}


@pytest.mark.parametrize("said", ERRORS)
def test_what_doctor_calls_an_error_is_rejected(source, said):
    name, fault = ERRORS[said]
    fault(source / name)
    summary = prepared(source)
    assert (summary["volumes"], summary["rejected"], summary["warned"]) == (2, 1, 0)
    (entry,) = listed(source, "rejected.json")
    assert entry["id"] == "c01"
    assert said in entry["reason"]
    assert entry["reason"].startswith(name)
    told = [finding["sentence"] for finding in doctored(source) if finding["severity"] == "error"]
    assert entry["reason"] in told


def test_a_warning_is_told_once_and_kept(source, capsys):
    save(source / LABEL, label(1).astype(np.float32))
    first = prepared(source)
    assert (first["volumes"], first["rejected"], first["warned"]) == (3, 0, 1)
    (finding,) = listed(source, "warnings.json")
    assert (finding["check"], finding["file"], finding["cases"]) == ("float label", LABEL, ["c01"])
    assert f"warning: {LABEL} stores its labels as fractions" in capsys.readouterr().err
    assert prepared(source)["warned"] == 1
    assert "fractions" not in capsys.readouterr().err
    save(source / LABEL, label(4).astype(np.float32))  # of another file, but the same sentence
    assert prepared(source)["warned"] == 1
    assert "fractions" not in capsys.readouterr().err
    save(source / LABEL, label(1))
    assert prepared(source)["warned"] == 0
    assert listed(source, "warnings.json") == []


def test_a_warning_is_told_although_its_run_was_killed(source, monkeypatch, capsys):
    save(source / LABEL, label(1).astype(np.float32))

    def killed(records):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "compared", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(source)
    assert prepared(source)["prepared"] == 0
    assert f"warning: {LABEL} stores its labels as fractions" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", [b"[", b"3", b'[3, {"sentence": 4}]', b"\xff"])
def test_a_damaged_list_of_warnings_is_written_anew(source, damaged, capsys):
    save(source / LABEL, label(1).astype(np.float32))
    prepared(source)
    (finding,) = listed(source, "warnings.json")
    (source.parent / "store/warnings.json").write_bytes(damaged)
    capsys.readouterr()
    prepared(source)
    assert finding["sentence"] in capsys.readouterr().err
    assert listed(source, "warnings.json") == [finding]


@pytest.mark.parametrize("name", ["index.json", "rejected.json", "warnings.json"])
def test_a_file_of_the_store_that_is_no_text_is_written_anew(source, name):
    save(source / LABEL, label(1).astype(np.float32))
    (source / "imagesTr/c02.nii.gz").write_bytes(b"")
    prepared(source)
    path = source.parent / "store" / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"c0", b"c\xe9", 1))
    prepared(source)
    assert path.read_bytes() == whole


def test_a_warning_is_no_failure(source, capsys):
    save(source / LABEL, label(1).astype(np.float32))
    cli.main(["prepare", str(source), str(source.parent / "store"), "--workers", "1"])
    assert "warned: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "said"), [(None, "voxel for voxel; keep one"), (label(9), "different label maps")]
)
def test_copies_are_warned_of(source, other, said):
    """Of another header, so that only their voxels are the same."""
    save(source / "imagesTr/c02.nii.gz", scan(0), np.eye(4))
    save(source / "labelsTr/c02.nii.gz", label(0) if other is None else other, np.eye(4))
    summary = prepared(source)
    assert (summary["volumes"], summary["rejected"], summary["warned"]) == (3, 0, 1)
    (finding,) = listed(source, "warnings.json")
    assert finding["severity"] == "warning"
    assert finding["cases"] == ["c00", "c02"]
    assert said in finding["sentence"]


def series(source):
    """Two of the same pixels under other names."""
    for name in ("one", "two"):
        array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
        write_series(source / name, array, np.diag([1.0, 1.0, 2.0, 1.0]), name)
    return {}


def film(source):
    """A file whose two times are alike."""
    save(source / "film.nii", scan(0)[..., None] * np.ones(2, np.float32))
    return {"fourth_axis": "times"}


def pair(source):
    """A file and its copy."""
    for name in "ab":
        save(source / f"{name}.nii", scan(0))
    return {}


@pytest.mark.parametrize(
    ("write", "how", "hashed"),
    [(series, "voxel", "voxels"), (film, "voxel", "voxels"), (pair, "byte", "files")],
)
def test_a_hash_of_voxels_is_not_called_one_of_bytes(tmp_path, write, how, hashed):
    source = tmp_path / "scans"
    assert prepared(source, **write(source))["warned"] == 1
    (finding,) = listed(source, "warnings.json")
    assert f"are the same image {how} for {how};" in finding["sentence"]
    assert {volume.record["hashed"] for volume in Store(tmp_path / "store")} == {hashed}
    (again,) = doctored(tmp_path / "store")
    assert again["sentence"] == finding["sentence"]


def test_each_case_is_read_once(source, monkeypatch):
    read, times = Case.read, []

    def counting(case):
        times.append(case.id)
        return read(case)

    monkeypatch.setattr(Case, "read", counting)
    prepared(source)
    assert sorted(times) == ["c00", "c01", "c02"]


def test_other_declared_labels_are_compared_anew(source):
    assert prepared(source)["volumes"] == 3
    describe(source, labels={"0": "background", "1": "front"})
    with pytest.raises(InputError, match=r"holds the label 2, but dataset\.json declares 0, 1"):
        prepared(source)
    describe(source, labels={"0": "background", "1": "front", "2": "back", "3": "top"})
    assert prepared(source)["prepared"] == 3


def test_findings_are_in_no_index(source):
    save(source / LABEL, label(1).astype(np.float32))
    prepared(source)
    assert not {"looked", "state"} & set(Store(source.parent / "store")[1].record)
