"""A folder with scans and their store, and a disk of a given size."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanprior import cli
from tests.faults.balls import source, words
from tests.recipes.graded import prepared, write_photographs


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``scans``, the ``store`` of them and one of photographs, ``graded``; tests leave it so."""
    folder = tmp_path_factory.mktemp("made")
    source(folder / "scans")
    cli.main(words("prepare", folder, folder / "store"))
    prepared(write_photographs(folder / "photographs", n=12), folder / "graded")
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """Scans and stores of the test's own; fine-tuning writes a split into the store."""
    for name in ("scans", "store", "graded"):
        shutil.copytree(made / name, tmp_path / "work" / name)
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
