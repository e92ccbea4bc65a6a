"""A file is replaced whole or stays as it was."""

import errno
import os
from pathlib import Path

import pytest

from scanprior.whole import replacing


def test_a_file_is_there_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scan.nii.gz"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.name.endswith(".nii.gz")
    assert [p.name for p in path.parent.iterdir()] == ["scan.nii.gz"]
    assert path.read_text() == "whole"


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "before"


def test_a_link_onto_a_link_to_the_same_file_leaves_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    with replacing(path) as temporary:
        os.link(path, temporary)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("named", [True, False])
def test_a_disk_that_is_full_is_said_of_the_file_that_was_asked_for(
    tmp_path: Path, named: bool
) -> None:
    path = tmp_path / "scores.csv"

    def full() -> None:
        with replacing(path) as temporary:
            where = (str(temporary),) if named else ()
            raise OSError(errno.ENOSPC, "No space left on device", *where)

    with pytest.raises(OSError, match="No space") as said:
        full()
    assert said.value.filename == str(path)


def test_another_file_that_fails_keeps_its_name(tmp_path: Path) -> None:
    def gone() -> None:
        with replacing(tmp_path / "copy") as temporary:
            temporary.write_bytes((tmp_path / "original").read_bytes())

    with pytest.raises(FileNotFoundError) as said:
        gone()
    assert said.value.filename == str(tmp_path / "original")
