"""Nothing is fetched or sent unless the user asks for a download."""

import hashlib
import re
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data.download import NAME, cached, download
from tests.faults.balls import source, words
from tests.recipes.graded import prepared, write_photographs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection and every look-up of a name that was tried; each of them fails."""
    tried: list[Any] = []
    connect = socket.socket.connect

    def refuse(*told: Any, **more: Any) -> NoReturn:
        tried.append((told, more))
        raise OSError("no network in this test")

    def refuse_connection(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX:  # between processes of this machine
            return connect(self, address)
        refuse(address)

    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


def commands(work: Path) -> list[list[str]]:
    """Every command on small data, each after those that make what it reads."""
    labels = str(work / "scans" / "labelsTr")
    started = ["--start", str(work / "pretext")]
    graded = ["--store", str(work / "graded")]
    scan = work / "scans" / "imagesTr" / "scan_00.nii.gz"
    small = "--size 8 --repeats 1"
    brief = "--task rotation --labels 2 --pretrain-steps 1 --finetune-steps 1"
    return [
        words("prepare", work, work / "store"),
        ["doctor", str(work / "scans"), "--out", str(work / "doctor"), "--workers", "1"],
        words("autolabel", work, work / "tissues"),
        words("pretrain", work, work / "pretext", steps=2),
        ["transfer", str(work / "pretext"), "--channels-to", "4"],
        [*words("finetune", work, work / "run", steps=2), *started],
        words("predict", work, work / "maps"),
        ["evaluate", str(work / "maps"), labels, "--out", str(work / "scores.csv")],
        words("study", work, work / "study", steps=2),
        ["report", str(work / "study")],
        ["probe", "scratch", *graded, "--out", str(work / "probe.csv"), "--widths", "4", "8"],
        words("crossvalidate", work, work / "folds", steps=2),
        ["bench", "store", "--scan", str(scan), *small.split()],
        ["demo", "--data", str(work / "scans"), "--out", str(work / "demo"), *brief.split()],
    ]


@pytest.mark.slow
def test_no_command_goes_to_the_network(tmp_path: Path, asked: list[Any]) -> None:
    source(tmp_path / "scans")
    prepared(write_photographs(tmp_path / "photographs", n=12), tmp_path / "graded")
    every = commands(tmp_path)
    assert {line[0] for line in every} == set(re.findall(r"(?m)^  scanprior (\w+)", cli.USAGE))
    for line in every:
        cli.main(line)
        assert asked == [], line[0]


def test_the_test_would_notice(asked: list[Any], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="cannot be fetched"):
        download()
    assert asked


def test_a_download_with_another_checksum_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = tmp_path / "archive.tar"
    archive.write_bytes(b"something else")
    wrong = hashlib.md5(b"what was meant", usedforsecurity=False).hexdigest()
    with pytest.raises(InputError, match="is not the archive expected"):
        download(archive.as_uri(), md5=wrong)
    assert not cached().exists()
    assert [p for p in (tmp_path / "cache").rglob("*") if NAME in p.name] == []
