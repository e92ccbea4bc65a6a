"""What the studies' tests share: twelve labelled balls, three more without, and a tiny study."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanprior.fit import Training
from scanprior.study import Study, run_study

TRAINING = Training(
    steps=2, batch_size=2, warmup=0, log_every=1, save_every=1, precision="32", accelerator="cpu"
)


def write_store(ball_store: Path, folder: Path) -> Path:
    """ball_00 and ball_01 are one patient's; ball_11 has no label, and ball_10's bytes."""
    folder.mkdir()
    (folder / "volumes").symlink_to(ball_store / "volumes")
    index = json.loads((ball_store / "index.json").read_text())
    for record in index["volumes"]:
        record["sha256"] = record["id"]
    records = {record["id"]: record for record in index["volumes"]}
    records["ball_01"]["patient"] = "ball_00"
    records["ball_11"] |= {"labelled": False, "sha256": "ball_10"}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def make_study(store: Path, out: Path, **more: Any) -> Study:
    told: dict[str, Any] = {
        "store": store,
        "out": out,
        "starts": ("scratch", "rotation"),
        "labels": (1, 3),
        "seeds": (0,),
        "widths": (4, 8),
        "crop": (16, 16, 16),
        "pretraining": TRAINING,
        "finetuning": TRAINING,
        "validate_every": 1,
        "validation": 1,
        "test": 2,
        "predictions": 1,
    }
    return Study(**(told | more))


@pytest.fixture
def store(ball_store: Path, tmp_path: Path) -> Path:
    return write_store(ball_store, tmp_path / "store")


@pytest.fixture
def tiny_study(store: Path, tmp_path: Path) -> Callable[..., Study]:
    def make(**more: Any) -> Study:
        return make_study(store, tmp_path / "study", **more)

    return make


@pytest.fixture(scope="session")
def finished(ball_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study, done without interruption; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    study = make_study(write_store(ball_store, folder / "store"), folder / "whole")
    said = run_study(study)
    assert (said["cells"], said["done"], said["failed"], said["failures"]) == (4, 4, 0, {})
    return study
