"""A file is replaced whole or stays as it was."""

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
