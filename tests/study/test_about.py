"""study.json says what was run, so that a report needs only it and the tables beside it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scanprior import __version__
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.report import Report, run_report
from scanprior.study import Study, about
from scanprior.study.planner import plan

TABLES = ("results.csv", "cells.csv", "study.json")


@pytest.fixture
def committed(finished: Study, tmp_path: Path) -> Path:
    """What a person would commit of the finished study: its tables and study.json alone."""
    folder = tmp_path / "committed"
    folder.mkdir()
    for name in TABLES:
        shutil.copy(finished.out / name, folder)
    return folder


def report(folder: Path) -> str:
    run_report(Report(results=folder))
    return (folder / "report" / "report.md").read_text().replace("\\", "")


def starts(text: str) -> dict[str, list[str]]:
    """The table of ``What was run``: a start to its cells."""
    lines = text.split("## What was run")[1].split("\n## ")[0].splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


@pytest.mark.slow
def test_the_report_says_what_was_run_from_the_committed_files_alone(
    finished: Study, committed: Path
) -> None:
    text = report(committed)
    digest = Store(finished.store).digest
    assert "4 of 4 planned cells have test scores." in text
    assert "Nothing: every start has every cell." not in text  # there is one seed
    for said in (
        f"scanprior {__version__}, on cpu (",
        "Encoder small; channels of its levels: 3D 4-8.",
        f"Store store: 12 volumes of 1 channel, median spacing 1 x 1 x 1 mm, hash of the data "
        f"{digest[:12]}.",
        "Fine-tuned for segmentation with 1, 3 labels and the seeds 0; 1 validation and 2 test "
        "cases.",
        "One pretraining for all seeds: rotation.",
    ):
        assert said in text
    told = ["2", "2", "0.001", "16x16x16"]
    assert starts(text) == {
        "scratch": ["3", *["–"] * 4, *told],
        "rotation": ["3", *told, *told],
    }
    assert str(finished.out) not in text


@pytest.mark.slow
def test_a_study_of_which_cells_are_missing_is_reported_as_such(
    tiny_study: Callable[..., Study], committed: Path
) -> None:
    path = committed / "results.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    kept = rows.query("start != 'rotation' or labels != '3'")
    kept.to_csv(path, index=False)
    text = report(committed)
    assert "3 of 4 planned cells have test scores." in text
    assert "Without test scores at 3 labels: rotation." in text
    compared = pd.read_csv(committed / "report" / "comparisons.csv")
    assert compared[["labels", "start"]].to_numpy().tolist() == [[1, "rotation"]]
    kept.query("start == 'scratch'").to_csv(path, index=False)
    text = report(committed)
    assert "2 of 4 planned cells have test scores." in text
    assert "rotation has no test scores at all." in text
    assert "Nothing can be said: there is no start to compare with scratch." in text
    kept.query("labels == '1'").to_csv(path, index=False)
    assert "No start has test scores of the planned labels 3." in report(committed)


@pytest.mark.slow
def test_another_run_s_pretraining_and_each_seed_s_own(
    finished: Study, tiny_study: Callable[..., Study]
) -> None:
    (cell,) = (finished.out / "cells").glob("scratch-3-*")
    study = tiny_study(
        starts=(f"mine=run:{cell}", "rotation", "scratch-2d"),
        overrides=("rotation.lr=1e-5",),
        pretrain_each_seed=True,
        seeds=(0, 1),
    )
    study.out.mkdir()
    about.write(study, plan(study))
    told = json.loads((study.out / "study.json").read_text())
    assert told["study"]["starts"] == [f"mine=run:{cell.name}", "rotation", "scratch-2d"]
    ran = told["ran"]
    mine, rotation, flat = ran["starts"]
    assert (mine["pretraining_steps"], mine["pretraining_crop"]) == (2, "16x16x16")
    assert rotation["pretraining_lr"] == 1e-5
    assert "pretraining_lr" not in flat
    assert (flat["spatial_dims"], flat["finetuning_crop"]) == (2, "16x16")
    assert flat["finetuning_batch_size"] == 32
    assert ran["encoder"] == {"name": "small", "channels": {}}  # nothing has begun
    assert ran["scanprior"] == []
    assert ran["pretrainings"] == {"rotation": "each seed"}


def test_nothing_in_it_says_where_the_machine_keeps_its_files(
    tiny_study: Callable[..., Study], store: Path, tmp_path: Path
) -> None:
    Split(("ball_02", "ball_03", "ball_04"), ("ball_05",), ("ball_00",), 0).save(
        tmp_path / "given.json"
    )
    study = tiny_study(split=tmp_path / "given.json", pretraining_store=store)
    study.out.mkdir()
    about.write(study, plan(study))
    text = (study.out / "study.json").read_text()
    assert str(tmp_path) not in text
    told = json.loads(text)["study"]
    assert (told["store"], told["pretraining_store"]) == ("../store", "../store")
    assert (told["out"], told["split"], told["supervised"]) == (".", "../given.json", None)


def test_the_names_of_classes_are_the_store_s(
    tiny_study: Callable[..., Study], store: Path
) -> None:
    index = json.loads((store / "index.json").read_text())
    (store / "index.json").write_text(json.dumps(index | {"labels": {"1": "ball"}}))
    study = tiny_study()
    study.out.mkdir()
    about.write(study, plan(study))
    assert json.loads((study.out / "study.json").read_text())["ran"]["classes"] == {"1": "ball"}
