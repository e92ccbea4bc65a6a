"""Nothing is fetched or sent unless the user asks for a download."""

import hashlib
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data.download import NAME, cached, download
from tests.faults.balls import source, words


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


@pytest.mark.slow
def test_no_command_goes_to_the_network(tmp_path: Path, asked: list[Any]) -> None:
    source(tmp_path / "scans")
    cli.main(words("prepare", tmp_path, tmp_path / "store"))
    cli.main(["doctor", str(tmp_path / "store"), "--out", str(tmp_path / "doctor")])
    cli.main(words("pretrain", tmp_path, tmp_path / "pretext", steps=2))
    start = ["--start", str(tmp_path / "pretext")]
    cli.main([*words("finetune", tmp_path, tmp_path / "run", steps=2), *start])
    cli.main(words("predict", tmp_path, tmp_path / "maps"))
    labels = str(tmp_path / "scans" / "labelsTr")
    cli.main(["evaluate", str(tmp_path / "maps"), labels, "--out", str(tmp_path / "scores.csv")])
    cli.main(words("study", tmp_path, tmp_path / "study", steps=2))
    assert asked == []


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
