"""The scripts behind the numbers run, here on a phantom in the real data's place."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanprior import pretext
from scanprior.data.phantom import write_decathlon
from scanprior.study import starts
from scanprior.study.command import load

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_speed(tmp_path: Path) -> None:
    results = tmp_path / "speed.json"
    small = ["--size", "48", "--size-2d", "64", "--encoder", "small", "--repeats", "1"]
    command = [sys.executable, str(BENCHMARKS / "speed.py"), *small, "--results", str(results)]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(results.read_text())
    assert found["step_3d"]["recipe"]["size"] == 48
    assert len(found["step_3d"]["rows"]) == len(found["step_2d"]["rows"]) == len(pretext.names())


@pytest.mark.parametrize("name", ["hippocampus", "idrid", "retinamnist"])
def test_the_studies_are_studies(name: str) -> None:
    study = load(BENCHMARKS / f"{name}.py")
    assert len(study.runs()) == len(study.starts) * len(study.labels) * len(study.seeds)
    told = starts.changes(study.overrides)
    tasks = set(study.starts) & set(pretext.names())
    assert tasks >= {"cpc", "rpl", "jigsaw", "rotation", "exemplar"}
    for name in tasks:
        starts.apply(name, told.get(name, {}), study.pretraining, pretext.find(name)())


def run(script: str, folder: Path, *words: str) -> Any:
    results = folder / f"{script}.json"
    places = ["--data", str(folder), "--work", str(folder / "work"), "--results", str(results)]
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *places, *words]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads(results.read_text())


@pytest.mark.slow
def test_pretext_accuracy(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "Task04_Hippocampus", labelled=4, unlabelled=30, seed=0)
    words = ("--tasks", "rotation", "--dims", "3", "--minutes", "0.05")
    row = run("pretext_accuracy", tmp_path, *words)["rotation_3d"]
    assert 0 <= row["accuracy"] <= 1
    assert row["chance"] == 0.1
    assert row["held_out_subjects"] == 30
    assert row["steps"] >= 1


@pytest.mark.slow
def test_scratch_curve(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "Task04_Hippocampus", labelled=5, unlabelled=0, seed=0)
    result = run("scratch_curve", tmp_path, "--steps", "4", "--validate-every", "2")
    assert [point["step"] for point in result["curve"]] == [2, 4]
    assert result["best_dice"] == max(point["dice"] for point in result["curve"])
    assert (result["train"], result["validation"]) == (4, 1)


@pytest.mark.slow
def test_demo_seeds(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "Task04_Hippocampus", labelled=40, unlabelled=2, seed=0)
    (one,) = run(
        "demo_seeds", tmp_path,
        "--seeds", "1", "--pretrain-steps", "2", "--finetune-steps", "5",
    )  # fmt: skip
    assert one["seed"] == 1
    assert [row["start"] for row in one["rows"]] == ["scratch", "voxels"]
    assert one["interval"][0] <= one["difference"] <= one["interval"][1]
