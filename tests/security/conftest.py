"""A store of tiny scans with a pretext run and a fine-tuning run."""

import shutil
from pathlib import Path

import pytest

from scanprior import cli
from tests.faults.balls import source, words


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``scans``, ``store``, ``pretext`` and ``run``; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    source(folder / "scans")
    cli.main(words("prepare", folder, folder / "store"))
    cli.main(words("pretrain", folder, folder / "pretext", steps=2))
    cli.main(words("finetune", folder, folder / "run", steps=2))
    return folder


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What a payload would make."""
    return tmp_path / "trace"
