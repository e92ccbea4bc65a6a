"""What the recipes' tests share."""

import json
from pathlib import Path

import pytest

from tests.recipes.scans import AFFINES, trained, write_scans


@pytest.fixture
def store(ball_store: Path, tmp_path: Path) -> Path:
    """The balls in a folder of the test's own: fine-tuning writes a split beside the index."""
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "volumes").symlink_to(ball_store / "volumes")
    index = json.loads((ball_store / "index.json").read_text())
    for record in index["volumes"]:
        record.setdefault("sha256", record["id"])  # no two balls are the same
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans") / "balls", AFFINES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), scans, steps=2)
