"""recipes/pancreas.py as its docstring has it, on a phantom in the Decathlon's layout."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from scanprior.data.phantoms.pancreas import write_pancreas
from scanprior.data.store import Store
from scanprior.saved import read_json
from scanprior.study.command import load
from scanprior.study.planner import plan
from tests.recipes_folder.commands import RECIPES, SHORT, commands, run

FOLDER = Path("runs/pancreas")
STUDY = [*SHORT, "--test", "2", "--seeds", "0", "--crop", "24", "24", "24", "--slices", "2"]
TINY = [
    *(*STUDY, "--starts", "scratch", "rpl", "exemplar-2d"),
    *("--overrides", "rpl.jitter=1", "exemplar-2d.code=8"),
]


@pytest.mark.slow
def test_the_commands_run_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pancreas(Path("data/Task07_Pancreas"), labelled=6, unlabelled=2, seed=0)
    Path("recipes").symlink_to(RECIPES)
    prepare, rehearsal, study, report, alone = commands("pancreas")
    run([*prepare, "--workers", "1", "--shape", "32", "32", "32"], capsys)
    store = Store(FOLDER / "store")
    assert (len(store), store.channels, store.classes) == (8, 1, 3)
    for volume in store:
        image = volume.read()
        assert (image.min(), image.max()) == (0, 1)  # air below the window, bone above
        assert 0 < (image == 0).mean() < 0.6

    whole = load(Path("recipes/pancreas.py"))
    few = replace(whole, test=2, validation=1)
    assert len(plan(few).pretrainings) == 10

    assert run([*rehearsal, *TINY], capsys)["unmeasured"] == {}
    said = run([*study, *TINY], capsys)
    assert (said["done"], said["failures"]) == (3, {})
    table = pd.read_csv(FOLDER / "study/results.csv", dtype={"class": str})
    test = table[table["part"] == "test"]
    assert set(test["class"]) == {"1", "2"}
    assert len(test) == 3 * 2 * 2 * 3  # starts, cases, classes, metrics
    held = set(read_json(FOLDER / "study/split.json")["test"])
    assert set(test["case"]) == held
    for pretrained in (FOLDER / "study/pretrainings").iterdir():
        seen = read_json(pretrained / "cases.json")["train"]
        assert set(seen) == {v.id for v in store} - held  # the scans without labels among them
    run(report, capsys)
    assert (FOLDER / "study/report/report.html").is_file()
    said = run([*alone, *STUDY, "--dry-run"], capsys)  # no overrides of what is not pretrained
    assert (said["to_do"], said["pretrainings_to_do"], said["unmeasured"]) == (1, 0, {})
