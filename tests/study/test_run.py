"""Studies that run: cut off and continued, with failures, in processes and as cluster jobs."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

from scanprior import alone
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.fit import Training, loop
from scanprior.metrics.segmentation import hard_dice
from scanprior.report import Report, run_report
from scanprior.study import Study, executors, pictures, run_study, work
from scanprior.study.plan import Slurm
from scanprior.study.planner import plan
from scanprior.study.results import CELLS, RESULTS

Make = Callable[..., Study]


def tables(study: Study) -> tuple[str, pd.DataFrame]:
    """results.csv as text, and cells.csv."""
    return (study.out / "results.csv").read_text(), pd.read_csv(study.out / "cells.csv")


@pytest.mark.slow
def test_what_a_study_leaves(finished: Study) -> None:
    results = pd.read_csv(finished.out / "results.csv", dtype={"class": str})
    assert list(results) == RESULTS
    test = results[results["part"] == "test"]
    split = json.loads((finished.out / "split.json").read_text())
    assert set(test["case"]) == set(split["test"])
    assert len(test) == 4 * 2 * 1 * 3  # cells, cases, classes, metrics
    assert set(test["step"]) == {2}
    assert set(test["class"]) == {"1"}
    curve = results[results["part"] == "validation"]
    assert sorted(curve["step"]) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert set(curve["case"]) == {"mean"}
    assert set(curve["metric"]) == {"dice"}
    costs = tables(finished)[1]
    assert list(costs) == CELLS
    assert list(costs["status"]) == ["done"] * 4
    pretrained = costs["start"] == "rotation"
    assert (costs.loc[pretrained, "pretrain_steps"] == 2).all()
    assert (costs.loc[pretrained, "pretrain_minutes"] > 0).all()
    assert (costs.loc[~pretrained, "pretrain_minutes"] == 0).all()
    for folder, labels in zip(costs["folder"], costs["labels"], strict=True):
        cases = json.loads((finished.out / folder / "cases.json").read_text())
        assert len(cases["train"]) == labels
        assert not set(cases["train"] + cases["validation"]) & set(split["test"])
    # the scores are those of the last weights, whole volumes: from the label map that was kept
    cell = finished.out / costs["folder"].iloc[0]
    (kept,) = (cell / "predictions").iterdir()
    volume = Store(finished.store).of([kept.name.removesuffix(".b2nd")])[0]
    predicted, label = work_label(kept), volume.read_label((slice(None),) * 3)
    (dice,) = hard_dice(torch.from_numpy(predicted), torch.from_numpy(label), 2)
    mine = test[(test["case"] == volume.id) & (test["metric"] == "dice")]
    assert float(np.asarray(mine["value"])[0]) == pytest.approx(dice)


def work_label(path: Path) -> np.ndarray:
    import blosc2

    return blosc2.open(str(path))[:]  # pyright: ignore


@pytest.mark.slow
def test_the_same_command_again_does_nothing(
    finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(finished)
    monkeypatch.delattr(work, "finetune")
    monkeypatch.delattr(work, "pretrain")
    run_study(finished)
    assert tables(finished)[0] == before[0]
    pd.testing.assert_frame_equal(tables(finished)[1], before[1])


@pytest.mark.slow
def test_how_a_cell_was_watched_is_no_other_setting(
    tiny_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny_study(labels=(1,), starts=("scratch",))
    run_study(study)
    path = study.out / tables(study)[1]["folder"].iloc[0] / "recipe.json"
    kept = json.loads(path.read_text())
    kept["training"] |= {"log_every": 77, "workers": 3, "accelerator": "cuda"}
    path.write_text(json.dumps(kept))
    monkeypatch.delattr(work, "finetune")  # nothing is done again
    assert run_study(study)["failures"] == {}
    watched = dataclasses.replace(study.finetuning, log_every=9, workers=1, save_every=7)
    assert run_study(dataclasses.replace(study, finetuning=watched))["failures"] == {}
    assert len(list((study.out / "cells").iterdir())) == 1
    kept["training"]["lr"] = 0.5
    path.write_text(json.dumps(kept))
    (reason,) = run_study(study)["failures"].values()
    assert "NameError" in reason  # it would be trained again


class Killed(BaseException):
    """Nothing in scanprior can catch it, as nothing catches a kill."""


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 9])
def test_a_killed_study_continues_to_the_same_results(
    finished: Study, tiny_study: Make, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    study = tiny_study()
    taken: list[int] = []

    def killing(*told: Any) -> float:
        taken.append(1)
        if len(taken) == step:  # in the middle of a training: 5 trainings have 10 steps
            raise Killed
        return loop_rate(*told)

    loop_rate = loop.learning_rate
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", killing)
        with pytest.raises(Killed):
            run_study(study)
    ended = tables(study)[1]
    assert len(ended) < 4
    run_study(study)
    assert tables(study)[0] == tables(finished)[0]


@pytest.mark.slow
def test_a_failed_cell_is_reported_and_retried(
    finished: Study, tiny_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny_study()

    def failing(recipe: Any) -> Any:
        if recipe.start == "scratch" and recipe.labels == 1:
            raise RuntimeError("out of memory")
        return real(recipe)

    real = work.finetune
    with monkeypatch.context() as patch:
        patch.setattr(work, "finetune", failing)
        said = run_study(study)
    assert said["failures"] == {"scratch, 1 labels, seed 0": "RuntimeError: out of memory"}
    costs = tables(study)[1]
    assert list(costs["status"]) == ["failed", "done", "done", "done"]
    assert costs["reason"].iloc[0] == "RuntimeError: out of memory"
    assert "out of memory" in (study.out / costs["folder"].iloc[0] / "error.txt").read_text()
    assert run_study(study)["failures"] == {}
    assert tables(study)[0] == tables(finished)[0]


@pytest.mark.slow
def test_cells_of_a_failed_pretraining_say_so(
    tiny_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(recipe: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(work, "pretrain", failing)
    said = run_study(tiny_study(labels=(1,)))
    assert list(said["failures"]) == ["rotation, 1 labels, seed 0"]
    assert (
        "its pretraining failed: RuntimeError: out of memory"
        in said["failures"][next(iter(said["failures"]))]
    )
    assert said["done"] == 1


def part_of(study: Study, starts: tuple[str, ...]) -> pd.DataFrame:
    table = pd.read_csv(study.out / "results.csv")
    wanted = (table["labels"] == 1) & table["start"].isin(starts)
    return table.loc[wanted, :].reset_index(drop=True)


@pytest.mark.slow
def test_processes_find_what_this_process_finds(finished: Study, tiny_study: Make) -> None:
    study = tiny_study(executor="processes", jobs=2, labels=(1,))
    assert run_study(study)["failures"] == {}
    pd.testing.assert_frame_equal(
        part_of(study, study.starts), part_of(finished, study.starts), check_exact=True
    )
    assert (study.out / tables(study)[1]["folder"].iloc[0] / "log.txt").is_file()


@pytest.mark.slow
def test_a_process_that_dies_is_one_failed_cell(tiny_study: Make) -> None:
    """Killed as by a full memory: it cannot say so itself."""
    study = tiny_study(executor="processes", jobs=1, labels=(1,), starts=("scratch",))
    executor = executors.Processes(1)
    (job,) = plan(study).cells
    executor.start(job)
    executor.running[0][0].kill()
    ended: list[Any] = []
    while not ended:
        ended = executor.ended()
    assert ended == [(job, "its process ended with code -9; see log.txt.")]
    assert work.status(job) is None


@pytest.mark.slow
# submitit leaves the log files of its debug executor open
@pytest.mark.filterwarnings("ignore:.*DEBUG_:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cluster", ["debug", "local"])
def test_cluster_jobs_find_what_this_process_finds(
    finished: Study, tiny_study: Make, cluster: Any
) -> None:
    starts = ("scratch", "rotation") if cluster == "debug" else ("scratch",)
    slurm = Slurm(cluster=cluster, cpus=1, minutes=5)
    study = tiny_study(executor="slurm", starts=starts, labels=(1,), slurm=slurm)
    assert run_study(study)["failures"] == {}
    pd.testing.assert_frame_equal(
        part_of(study, starts), part_of(finished, starts), check_exact=True
    )


@pytest.mark.slow
def test_slices_runs_and_other_starts(tiny_study: Make, finished: Study, store: Path) -> None:
    run = finished.out / tables(finished)[1]["folder"].iloc[1]
    starts = ("rotation-2d", "supervised", "scratch-long", "scratch-2d", f"mine=run:{run}")
    study = tiny_study(starts=starts, labels=(1,), supervised=store, slices=4, validation=0)
    said = run_study(study)
    assert said["failures"] == {}
    costs = tables(study)[1].set_index("start")
    assert list(costs.index) == ["rotation-2d", "supervised", "scratch-long", "scratch-2d", "mine"]
    assert costs.loc["scratch-long", "finetune_steps"] == 4
    assert costs.loc["mine", "pretrain_steps"] == 2
    results = pd.read_csv(study.out / "results.csv")
    assert set(results["part"]) == {"test"}
    (folder,) = (study.out / "pretrainings").glob("supervised-*")
    seen = json.loads((folder / "cases.json").read_text())["train"]
    held = set(json.loads((study.out / "split.json").read_text())["test"])
    assert len(seen) == 11 - 2
    assert not set(seen) & held


@pytest.mark.slow
def test_grades(tiny_study: Make, store: Path) -> None:
    index = json.loads((store / "index.json").read_text())
    for number, record in enumerate(index["volumes"]):
        record |= {"grade": number % 3, "labelled": False}
    (store / "index.json").write_text(json.dumps(index | {"classes": 0}))
    study = tiny_study(task=Classification(), starts=("rotation",), labels=(6,))
    said = run_study(study)
    assert said["failures"] == {}
    results = pd.read_csv(study.out / "results.csv")
    test = results[results["part"] == "test"]
    wide = test.pivot(index="case", columns="metric", values="value")
    assert sorted(wide) == ["p0", "p1", "p2", "prediction", "truth"]
    grades = {record["id"]: record["grade"] for record in index["volumes"]}
    assert wide["truth"].to_dict() == {case: grades[case] for case in wide.index}
    assert wide[["p0", "p1", "p2"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert test["class"].isna().all()
    assert "kappa" in set(results[results["part"] == "validation"]["metric"])


@pytest.mark.slow
def test_folds_are_put_together(tiny_study: Make) -> None:
    study = tiny_study(folds=2, seeds=(0, 1), labels=(2,))
    assert run_study(study)["failures"] == {}
    results = pd.read_csv(study.out / "results.csv")
    test = results[(results["part"] == "test") & (results["metric"] == "dice")]
    for start in study.starts:
        assert sorted(test.loc[test["start"] == start, "case"]) == [
            f"ball_{i:02}" for i in range(11)
        ]
    assert not (study.out / "split.json").exists()
    with pytest.raises(InputError, match=r"fold-0\.json holds other test"):
        run_study(dataclasses.replace(study, split_seed=1))


@pytest.mark.slow
def test_one_study_has_one_test_set_and_one_writer(
    finished: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="choose another --out"):
        run_study(dataclasses.replace(finished, split_seed=1))
    monkeypatch.setattr(alone, "WAIT", 0.1)
    with (
        FileLock(finished.out / ".lock"),
        pytest.raises(InputError, match="written by another process"),
    ):
        run_study(finished)


@pytest.mark.slow
def test_a_dry_run_measures_and_writes_nothing(
    tiny_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tiny_study(dry_run=True, finetuning=Training(steps=60, accelerator="cpu"))
    said = run_study(study)
    study = tiny_study(dry_run=True)
    assert not study.out.exists()
    assert (said["cells"], said["done"], said["to_do"], said["pretrainings_to_do"]) == (4, 0, 4, 1)
    assert set(said["seconds_a_step"]) == {"fine-tuning", "pretraining rotation"}
    assert min(said["seconds_a_step"].values()) > 0
    told = capsys.readouterr().err
    assert "[1/5] scratch, 1 labels, seed 0: to do" in told
    assert "warm-up" not in told, "of the steps that are measured"
    run_study(dataclasses.replace(study, dry_run=False, labels=(1,)))
    said = run_study(study)
    assert (said["done"], said["to_do"], said["pretrainings_to_do"]) == (2, 2, 0)
    assert "(done)" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_study_shows(
    finished: Study, tmp_path: Path, tiny_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report's page has the pictures inside it; again, only what is new is drawn."""
    folder = finished.out / "pictures" / "drawn"
    case = json.loads((finished.out / "split.json").read_text())["test"][0]
    names = {f"{case}_{n}_labels_seed_0.png" for n in (1, 3)} | {"what_rotation_showed.png"}
    assert {path.name for path in folder.glob("*.png")} == names
    run_report(Report(results=finished.out, out=tmp_path / "report"))
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3 + len(names)
    assert f"<figcaption>{case.replace('_', ' ')} 1 labels seed 0</figcaption>" in page
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    planned = plan(finished)
    pictures.draw(planned, finished.out)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.png")} == before
    whole = (folder / "drawn.json").read_text()
    for damaged in ("{", "[]", "null"):
        (folder / "drawn.json").write_text(damaged)
        pictures.draw(planned, finished.out)
        assert (folder / "drawn.json").read_text() == whole
    copied = tmp_path / "copied"
    pictures.draw(planned, copied)
    drawn = copied / "pictures" / "drawn"
    assert {path.name for path in drawn.glob("*.png")} == names
    (both,) = drawn.glob("*_1_labels_*")
    size = both.stat().st_size
    pictures.draw(plan(dataclasses.replace(finished, labels=(1,), starts=("scratch",))), copied)
    assert list(drawn.glob("*.png")) == [both], "what is not planned any more is not shown"
    assert both.stat().st_size < size, "one row less"
    study = tiny_study(predictions=0, labels=(1,), starts=("scratch",))
    run_study(study)
    assert not (study.out / "pictures").exists()
    (cell,) = (study.out / "cells").iterdir()
    (cell / "predictions").mkdir()
    (cell / "predictions" / f"{case}.b2nd").write_bytes(b"damaged")
    capsys.readouterr()
    run_study(study)  # which is done all the same
    assert f"{case}.b2nd cannot be read" in capsys.readouterr().err
    assert not (study.out / "pictures").exists()


@pytest.mark.slow
def test_a_dry_run_says_what_cannot_run(
    tiny_study: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it has failed before: it is to do again."""
    study = tiny_study(labels=(1,))

    def failing(recipe: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(work, "pretrain", failing)
        run_study(study)
        patch.setattr("scanprior.study.estimate.pretrain", failing)
        said = run_study(dataclasses.replace(study, dry_run=True))
    assert said["unmeasured"] == {"pretraining rotation": "out of memory"}
    assert "min in all, without what cannot run, if" in capsys.readouterr().err
    said = run_study(dataclasses.replace(study, dry_run=True))
    assert said["pretrainings_to_do"] == 1
    assert said["unmeasured"] == {}
    assert said["seconds_a_step"]["pretraining rotation"] > 0


def test_a_folder_holds_one_design(tiny_study: Make) -> None:
    """Neither other test volumes nor folds beside one test set; a dry run says so too."""
    study = tiny_study(labels=(1,), starts=("scratch",))
    folds = dataclasses.replace(study, folds=3)
    study.out.mkdir()
    for first, others in (
        (study, (folds, dataclasses.replace(study, test=3))),
        (folds, (study, dataclasses.replace(folds, folds=2))),
    ):
        for path in study.out.glob("*.json"):
            path.unlink()
        for name, parts in plan(first).parts.items():
            Split(*parts, seed=0).save(study.out / name)
        for other in others:
            with pytest.raises(InputError, match="choose another --out"):
                run_study(dataclasses.replace(other, dry_run=True))


@pytest.mark.slow
def test_what_is_odd_is_said_before_work(
    finished: Study, tiny_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next(path for path in (finished.out / "pretrainings").iterdir())
    # that run left out the test volumes of its own study, which are not those of this split
    study = tiny_study(
        starts=("scratch", f"mine=run:{run}"), labels=(2, "25%"), split_seed=5, dry_run=True
    )
    run_study(study)
    said = capsys.readouterr().err
    assert "of the labels 2, 25% some are one number: [2]." in said
    assert "mine was trained on the images of 1 of the test cases: its scores flatter it" in said
