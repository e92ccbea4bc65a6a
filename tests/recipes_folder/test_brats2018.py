"""recipes/brats2018.py as its docstring has it, on brains in UK Biobank's and BraTS's layouts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanprior.data.phantoms.brain import write_biobank, write_brats
from scanprior.data.store import Store
from scanprior.recipes.pretrain import Pretrain
from scanprior.saved import load_weights, read_json
from scanprior.study.command import load
from scanprior.study.planner import plan
from tests.conftest import real
from tests.recipes_folder.commands import RECIPES, SHORT, commands, run

FOLDER = Path("runs/brats2018")
STUDY = [*SHORT, "--test", "2", "--seeds", "0", "--crop", "24", "24", "24"]
TINY = {
    "prepare": ["--workers", "1"],
    "study": [
        *(*STUDY, "--starts", "scratch", "supervised", "jigsaw", "cpc-2d", "--slices", "2"),
        *("--overrides", "jigsaw.permutations=20", "jigsaw.jitter=1", "cpc-2d.patch=8"),
    ],
}


@pytest.mark.slow
def test_the_commands_run_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_biobank(Path("data/biobank"), subjects=3, seed=0)
    write_brats(Path("data/brats2018"), cases=6, seed=0)
    Path("recipes").symlink_to(RECIPES)
    biobank, brats, rehearsal, study, report, alone = commands("brats2018")
    run([*biobank, *TINY["prepare"], "--shape", "32", "32", "32"], capsys)
    run([*brats, *TINY["prepare"]], capsys)
    pretrained, labelled = Store(FOLDER / "biobank"), Store(FOLDER / "store")
    assert (pretrained.channels, pretrained.classes) == (2, 4)
    assert (labelled.channels, labelled.classes) == (4, 5)
    assert {v.record["partition"] for v in labelled} == {"train"}
    assert {v.patient for v in labelled} == {v.id.removesuffix("_1") for v in labelled}
    for volume in labelled:
        assert set(np.unique(volume.read_label())) == {0, 1, 2, 4}
        image = volume.read()
        assert image.min() == 0
        assert image.max() == 1
        assert volume.spacing == (1, 1, 1)

    # As the file has it, but for the numbers of cases: every start and override can be planned.
    whole = load(Path("recipes/brats2018.py"))
    few = replace(whole, test=2, validation=1)
    assert len(plan(few).pretrainings) == 11
    assert {
        job.recipe.store for job in plan(few).pretrainings if isinstance(job.recipe, Pretrain)
    } == {(FOLDER / "biobank").resolve()}

    said = run([*rehearsal, *TINY["study"]], capsys)
    assert (said["cells"], said["unmeasured"]) == (4, {})
    said = run([*study, *TINY["study"]], capsys)
    assert (said["done"], said["failures"]) == (4, {})
    table = pd.read_csv(FOLDER / "study/results.csv")
    test = table[table["part"] == "test"]
    assert set(test["class"]) == {"ET", "TC", "WT"}
    assert len(test) == 4 * 2 * 3 * 3  # starts, cases, regions, metrics
    (jigsaw,) = (FOLDER / "study/pretrainings").glob("jigsaw-seed-0-*")
    assert read_json(jigsaw / "cases.json")["train"] == [v.id for v in pretrained]
    assert load_weights(jigsaw / "encoder.safetensors")[1]["in_channels"] == 2
    (cell,) = (FOLDER / "study/cells").glob("jigsaw-2-labels-*")
    assert load_weights(cell / "last.safetensors")[1]["in_channels"] == 4
    run(report, capsys)
    assert (FOLDER / "study/report/report.html").is_file()
    said = run([*alone, *STUDY, "--dry-run"], capsys)  # no overrides of what is not pretrained
    assert (said["to_do"], said["pretrainings_to_do"], said["unmeasured"]) == (1, 0, {})


@pytest.mark.slow
def test_on_two_real_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """BraTS 2015's FLAIR and T1c: one case to pretrain and train on, the other to test on."""
    source = real("BraTS2015_sample")
    monkeypatch.chdir(tmp_path)
    words = ["prepare", str(source), "store", "--modalities", "T1c", "Flair", "--label", "OT"]
    words += ["--crop-foreground", "--intensity", "unit", "--spacing", "4", "4", "4"]
    assert run([*words, "--workers", "1"], capsys)["classes"] == 5
    assert [v.shape[0] for v in Store(Path("store"))] == [2, 2]
    places = ["--store", "store", "--pretraining-store", "store", "--out", "study"]
    told = [*STUDY, "--test", "1", "--validation", "0", "--labels", "1"]
    told += ["--starts", "scratch", "rotation", "--overrides", "rotation.single_axis=true"]
    recipe = str(RECIPES / "brats2018.py")
    said = run(["study", recipe, *places, *told], capsys)
    assert (said["done"], said["failures"]) == (2, {})
    table = pd.read_csv("study/results.csv")
    held = read_json(Path("study/split.json"))["test"]
    assert set(table["case"]) == set(held)
    assert set(table["class"]) == {"ET", "TC", "WT"}
    (pretrained,) = Path("study/pretrainings").iterdir()
    assert not set(read_json(pretrained / "cases.json")["train"]) & set(held)
