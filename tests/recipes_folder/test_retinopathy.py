"""recipes/retinopathy.py as its docstring has it, on photographs in Kaggle's layout."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from scanprior.data.phantoms.fundus import GRADES, write_biobank_fundus, write_kaggle
from scanprior.data.store import Store
from scanprior.saved import read_json
from scanprior.study.command import load
from scanprior.study.planner import plan
from tests.recipes_folder.commands import RECIPES, SHORT, commands, run

FOLDER = Path("runs/retinopathy")
STUDY = [*SHORT, "--labels", "8", "--crop", "48", "48"]
TINY = [
    *(*STUDY, "--starts", "scratch", "jigsaw"),
    *("--overrides", "jigsaw.permutations=20", "jigsaw.jitter=1"),
]


@pytest.mark.slow
def test_the_commands_run_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_kaggle(Path("data/aptos2019"), graded=25, ungraded=3, seed=0)
    write_biobank_fundus(Path("data/biobank_fundus"), subjects=3, seed=1)
    Path("recipes").symlink_to(RECIPES)
    kaggle, rehearsal, study, report, biobank, transfer, last, alone = commands("retinopathy")
    small = ["--workers", "1", "--shape", "48", "48"]
    run([*kaggle, *small], capsys)
    store = Store(FOLDER / "store")
    assert (len(store), store.channels, store.spatial_dims) == (28, 3, 2)
    assert sorted(v.grade for v in store if v.grade is not None) == sorted([*range(GRADES)] * 5)

    whole = load(Path("recipes/retinopathy.py"))
    few = replace(whole, validation=1)
    assert len(plan(few).pretrainings) == 25

    assert run([*rehearsal, *TINY], capsys)["unmeasured"] == {}
    said = run([*study, *TINY], capsys)
    assert (said["done"], said["failures"]) == (2 * 5, {})
    table = pd.read_csv(FOLDER / "study/results.csv")
    truth = table[(table["part"] == "test") & (table["metric"] == "truth")]
    for start in ("scratch", "jigsaw"):  # every graded photograph is tested once
        mine = truth[truth["start"] == start]
        assert dict(zip(mine["case"], mine["value"], strict=True)) == {
            v.id: v.grade for v in store if v.grade is not None
        }
    for fold in range(5):
        held = set(read_json(FOLDER / f"study/fold-{fold}.json")["test"])
        assert {v.grade for v in store.of(sorted(held))} == set(range(GRADES))  # stratified
        split = read_json(FOLDER / f"study/splits/pretraining-{fold}.json")
        assert set(split["test"]) == held
    seen = [
        set(read_json(folder / "cases.json")["train"])
        for folder in (FOLDER / "study/pretrainings").iterdir()
    ]
    assert [len(each) for each in seen] == [28 - 5] * 5
    assert len({frozenset(each) for each in seen}) == 5
    said = run(report, capsys)
    assert "kappa" in (FOLDER / "study/report/report.md").read_text()

    run([*biobank, *small], capsys)
    assert len({v.patient for v in Store(FOLDER / "biobank")}) == 3
    said = run([*transfer, *TINY], capsys)
    assert (said["done"], said["failures"]) == (2 * 5, {})
    (pretrained,) = (FOLDER / "transfer/pretrainings").iterdir()  # one is enough for all folds
    assert len(read_json(pretrained / "cases.json")["train"]) == 6
    run(last, capsys)
    said = run([*alone, *STUDY, "--dry-run"], capsys)  # no overrides of what is not pretrained
    assert (said["to_do"], said["pretrainings_to_do"], said["unmeasured"]) == (5, 0, {})
