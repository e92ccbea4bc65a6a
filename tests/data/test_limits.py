"""The limit on an image's size is a whole number, or a sentence says that it is none."""

import pytest

from scanprior.contracts import InputError
from scanprior.data import limits
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.doctor import Doctor, run_doctor
from tests.doctor.scans import sound

NONE = ["1e9", "1_000_000_000", "²", "٣", "0", "-5", "1.5", " 7", "many", "9" * 5000]


@pytest.mark.parametrize("said", NONE)
def test_what_is_no_whole_number_is_refused(said, monkeypatch):
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", said)
    with pytest.raises(InputError, match=r"^SCANPRIOR_MAX_VOXELS is '.*; set it to .*\.$"):
        limits.limit()


@pytest.mark.parametrize(
    ("said", "allowed"), [("", limits.USUAL), ("1", 1), ("9" * 18, 10**18 - 1)]
)
def test_what_is_one_is_the_limit(said, allowed, monkeypatch):
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", said)
    assert limits.limit() == allowed


def test_it_is_refused_once_and_not_file_by_file(tmp_path, monkeypatch):
    source = sound(tmp_path / "scans")
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", "1e9")
    for run in (
        lambda: run_prepare(Prepare(source=source, store=tmp_path / "store", workers=2)),
        lambda: run_doctor(Doctor(source=source, out=tmp_path / "doctor", workers=2)),
    ):
        with pytest.raises(InputError, match=r"^SCANPRIOR_MAX_VOXELS is '1e9', no whole number"):
            run()
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]
