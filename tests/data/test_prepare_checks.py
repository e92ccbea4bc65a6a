"""prepare looks at every scan as doctor does: errors are rejected, warnings are told and kept."""

import json

import numpy as np
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import Case
from scanprior.data.store import Store
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


ERRORS = {
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


def test_a_warning_is_told_once_and_kept(source, capsys):
    save(source / LABEL, label(1).astype(np.float32))
    first = prepared(source)
    assert (first["volumes"], first["rejected"], first["warned"]) == (3, 0, 1)
    (finding,) = listed(source, "warnings.json")
    assert (finding["check"], finding["file"], finding["cases"]) == ("float label", LABEL, ["c01"])
    assert f"warning: {LABEL} stores its labels as fractions" in capsys.readouterr().err
    assert prepared(source)["warned"] == 1
    assert "fractions" not in capsys.readouterr().err
    save(source / LABEL, label(1))
    assert prepared(source)["warned"] == 0
    assert listed(source, "warnings.json") == []


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
