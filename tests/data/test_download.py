"""What is fetched is verified before it is unpacked, and stays inside its folder."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from scanprior.contracts import InputError
from scanprior.data.download import NAME, cached, download


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(folder: Path, members: dict[str, bytes]) -> tuple[str, str]:
    """Its address and its MD5."""
    path = folder / "archive.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path.as_uri(), hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def left(cache: Path) -> list[str]:
    return [str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()]


def test_a_good_archive_is_unpacked(tmp_path: Path, cache: Path) -> None:
    members = {f"{NAME}/dataset.json": b"{}", f"{NAME}/imagesTr/._a.nii.gz": b"fork"}
    url, md5 = archive(tmp_path, members)
    folder = download(url, md5=md5)
    assert folder == cached() == cache / "scanprior" / NAME
    assert (folder / "dataset.json").read_bytes() == b"{}"
    assert left(cache) == [f"scanprior/{NAME}/dataset.json"]


def test_another_checksum_is_refused(tmp_path: Path, cache: Path) -> None:
    url, _ = archive(tmp_path, {f"{NAME}/dataset.json": b"{}"})
    with pytest.raises(InputError, match="MD5 differs"):
        download(url, md5="0" * 32)
    assert left(cache) == []
    assert not cached().exists()


@pytest.mark.parametrize("name", ["../evil", f"{NAME}/../../../evil"])
def test_a_member_that_leaves_the_folder_is_refused(name: str, tmp_path: Path, cache: Path) -> None:
    url, md5 = archive(tmp_path, {f"{NAME}/dataset.json": b"{}", name: b"evil"})
    with pytest.raises(InputError, match="cannot be fetched"):
        download(url, md5=md5)
    assert not list(tmp_path.rglob("evil"))
    assert left(cache) == []


def test_what_is_no_archive_or_not_there_is_refused(tmp_path: Path, cache: Path) -> None:
    noise = tmp_path / "noise.tar"
    noise.write_bytes(b"noise" * 1000)
    md5 = hashlib.md5(noise.read_bytes(), usedforsecurity=False).hexdigest()
    with pytest.raises(InputError, match="cannot be fetched"):
        download(noise.as_uri(), md5=md5)
    with pytest.raises(InputError, match="cannot be fetched"):
        download((tmp_path / "none.tar").as_uri())
    url, md5 = archive(tmp_path, {"Task01/dataset.json": b"{}"})
    with pytest.raises(InputError, match="cannot be fetched"):
        download(url, md5=md5)
    assert left(cache) == []
