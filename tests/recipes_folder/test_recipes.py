"""What the recipes say of themselves: their commands are commands, their settings the paper's."""

from pathlib import Path

import pytest

from scanprior import pretext
from scanprior.contracts import InputError
from scanprior.recipes.paper import TASKS, overrides, paper
from scanprior.study import Study, starts
from scanprior.study.command import load
from scanprior.verbs import parse
from tests.recipes_folder.commands import RECIPES, commands

FOLDER = Path("runs")
NAMES = sorted(path.stem for path in RECIPES.glob("*.py"))


def test_there_are_the_paper_s_three() -> None:
    assert NAMES == ["brats2018", "pancreas", "retinopathy"]


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_the_docstring_are_commands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPES.parent)
    recipes = [(words, parse(words)[0]) for words in commands(name)]
    assert {words[0] for words, _ in recipes} == {"prepare", "study", "report"}
    made = {recipe.store for words, recipe in recipes if words[0] == "prepare"}
    studies = [recipe for words, recipe in recipes if words[0] == "study"]
    for study in studies:
        assert isinstance(study, Study)
        needed = {study.store, study.pretraining_store, study.supervised} - {None}
        assert needed <= made, "what a study reads is prepared"
    reported = {recipe.results for words, recipe in recipes if words[0] == "report"}
    alone = FOLDER / name / "scratch"  # for its validation curve
    assert reported | {alone} == {study.out for study in studies}


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_the_paper_s(name: str) -> None:
    study = load(RECIPES / f"{name}.py")
    dims = 2 if name == "retinopathy" else 3
    whole = paper("jigsaw", dims, store=Path("s"), out=Path("o"))
    assert study.encoder == whole.encoder
    assert study.crop == whole.crop
    told = starts.changes(study.overrides)
    pretrained = [s for s in study.starts if s.removesuffix("-2d") in pretext.names()]
    assert {s for s in pretrained if not s.endswith("-2d")} == set(TASKS)
    for start in pretrained:
        blank = pretext.find(start.removesuffix("-2d"))()
        training, task, _ = starts.apply(start, told[start], study.pretraining, blank)
        assert task == paper(start.removesuffix("-2d"), dims, store=Path("s"), out=Path("o")).task
        assert (training.lr, training.optimizer) == ({2: 5e-4, 3: 1e-3}[dims], "adam")
    ours = study.finetuning
    assert (ours.lr, ours.optimizer, ours.schedule) == (
        {2: 5e-5, 3: 1e-5}[dims],
        "adam",
        "constant",
    )
    assert ours.weight_decay == study.pretraining.weight_decay == 0
    assert "not measured" in (RECIPES / f"{name}.py").read_text()


@pytest.mark.parametrize(
    ("name", "graded", "epochs"),
    # Labelled volumes, of those that a fold or the test set leaves; the paper's warm-up.
    [("brats2018", 285, 25), ("pancreas", 281, 25), ("retinopathy", round(3662 * 0.8), 5)],
)
def test_the_warm_up_lasts_as_many_epochs_of_the_pool(name: str, graded: int, epochs: int) -> None:
    study = load(RECIPES / f"{name}.py")
    pool = graded - study.validation - (0 if study.folds else study.test)
    epoch = pool / study.finetuning.batch_size
    assert study.frozen_steps == pytest.approx(epochs * epoch, rel=0.01)


def test_overrides_of_what_is_not_in_the_paper() -> None:
    with pytest.raises(InputError, match="'scratch' is not in the paper"):
        overrides("jigsaw", "scratch")
