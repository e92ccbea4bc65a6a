"""A folder with scans and their store, and a disk of a given size."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanprior import cli
from tests.faults.balls import source, words


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``scans`` and the ``store`` of them; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("made")
    source(folder / "scans")
    cli.main(words("prepare", folder, folder / "store"))
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """Scans and store of the test's own; fine-tuning writes a split into the store."""
    shutil.copytree(made / "scans", tmp_path / "work" / "scans")
    shutil.copytree(made / "store", tmp_path / "work" / "store")
    return tmp_path / "work"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make (or change) a file system in main memory: ``disk("100k")``, ``disk("1m", "ro")``."""
    place = tmp_path / "disk"

    def make(size: str, *more: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("a file system in main memory can be mounted by root only")
        place.mkdir(exist_ok=True)
        options = ",".join([*(["remount"] if place.is_mount() else []), f"size={size}", *more])
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this machine does not let tests mount a file system")
        return place

    yield make
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)
