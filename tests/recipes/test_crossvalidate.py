"""Cross-validation predicts every image once, goes on where it stopped, and is one recipe."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.metrics.grading import quadratic_weighted_kappa
from scanprior.recipes import crossvalidate as module
from scanprior.recipes.crossvalidate import CrossValidate, crossvalidate
from scanprior.recipes.finetune import Finetune
from scanprior.saved import read_json, thaw
from scanprior.verbs import parse
from tests.recipes.graded import LONGER, TRAINING, prepared, write_photographs

pytestmark = pytest.mark.slow  # whole trainings


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eyes")
    return prepared(write_photographs(folder / "eyes"), folder / "store")


def recipe(store: Path, out: Path, **more: Any) -> CrossValidate:
    told: dict[str, Any] = {"task": Classification(), "widths": (4, 8), "training": TRAINING}
    return CrossValidate(folds=3, run=Finetune(store=store, out=out, **(told | more)))


def test_every_image_is_predicted_once_by_a_model_that_never_saw_it(
    store: Path, tmp_path: Path
) -> None:
    said = crossvalidate(recipe(store, tmp_path / "cv"))
    table = pd.read_csv(tmp_path / "cv" / "predictions.csv")
    volumes = list(Store(store))
    assert table["case"].tolist() == [v.id for v in volumes]
    assert table["truth"].tolist() == [v.grade for v in volumes]
    for i in range(3):
        used = read_json(tmp_path / "cv" / f"fold_{i}" / "cases.json")
        held = set(table["case"][table["fold"] == i])
        assert held == set(Split.load(tmp_path / "cv" / f"fold_{i}.json").test)
        assert used["validation"]
        assert not held & {*used["train"], *used["validation"]}
    same = table.set_index("case")["fold"][["eye_000", "eye_023"]]
    assert same.nunique() == 1  # the same bytes
    kappa = quadratic_weighted_kappa(table["truth"].tolist(), table["prediction"].tolist(), 3)
    assert said["kappa"] == pytest.approx(kappa)
    assert (said["cases"], len(said["folds"])) == (24, 3)
    scores = pd.read_csv(tmp_path / "cv" / "metrics.csv")
    assert scores["metric"].tolist() == ["kappa", "accuracy", "auc"]
    assert not (store / "split.json").exists()


def test_it_goes_on_where_it_stopped(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = recipe(store, tmp_path / "cv", validate_every=0)
    carry_out, trained = module.carry_out, []

    def stops_at_the_second(planned: Any) -> Any:
        trained.append(planned.recipe.out.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return carry_out(planned)

    monkeypatch.setattr(module, "carry_out", stops_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        crossvalidate(mine)
    assert not (tmp_path / "cv" / "predictions.csv").exists()
    said = crossvalidate(mine)
    assert trained == ["fold_0", "fold_1", "fold_1", "fold_2"]
    assert crossvalidate(mine) == said
    assert len(trained) == 4
    with pytest.raises(InputError, match=r"other settings \(run\.seed\)"):
        crossvalidate(recipe(store, tmp_path / "cv", seed=1, validate_every=0))


def test_other_images_are_refused(store: Path, tmp_path: Path) -> None:
    mine = recipe(store, tmp_path / "cv")
    crossvalidate(mine)
    path = tmp_path / "cv" / "fold_1.json"
    kept = Split.load(path)
    dataclasses.replace(kept, test=kept.test[1:]).save(path)
    with pytest.raises(InputError, match="of other images or grades"):
        crossvalidate(mine)


@pytest.mark.parametrize(
    ("more", "folds", "sentence"),
    [
        ({"task": Segmentation()}, 3, "only classification"),
        ({"test": 0.2}, 3, "leave out --split and --test"),
        ({"split": Path("mine.json")}, 3, "leave out --split and --test"),
        ({}, 1, "2 or more"),
        ({}, 24, "cannot make 24 folds"),
        ({"split_seed": -1}, 3, "split_seed -1"),
        ({"labels": 14.0}, 3, "14 labels were asked for"),
        ({"crop": (1, 1)}, 3, "too small"),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(
    more: dict[str, Any], folds: int, sentence: str, store: Path, tmp_path: Path
) -> None:
    mine = dataclasses.replace(recipe(store, tmp_path / "cv", **more), folds=folds)
    with pytest.raises(InputError, match=sentence):
        crossvalidate(mine)
    assert not (tmp_path / "cv").exists()


def test_flags_and_the_way_to_the_disk_and_back(store: Path, tmp_path: Path) -> None:
    line = "crossvalidate classification --store s --out o --folds 4 --answer ordinal --steps 7"
    parsed, run = parse(line.split())
    run_of = Finetune(
        store=Path("s"),
        out=Path("o"),
        task=Classification(answer="ordinal"),
        training=Training(steps=7, lr=4e-3),
    )
    assert parsed == CrossValidate(folds=4, run=run_of)
    assert run is crossvalidate
    mine = recipe(store, tmp_path / "cv", labels=0.5)
    crossvalidate(mine)
    assert thaw(CrossValidate, read_json(tmp_path / "cv" / "recipe.json")) == mine
    line = "finetune classification --store s --out o --balance 0.5 --flip-axes 1 --frozen-steps 3"
    task = Classification(balance=0.5, flip_axes=(1,))
    assert parse(line.split())[0] == Finetune(
        store=Path("s"), out=Path("o"), task=task, frozen_steps=3
    )


@pytest.mark.slow
def test_grades_are_found_out_of_fold(tmp_path: Path) -> None:
    store = prepared(write_photographs(tmp_path / "eyes", 60, 1), tmp_path / "store")
    said = crossvalidate(
        recipe(store, tmp_path / "cv", widths=(8, 16), training=LONGER, validate_every=20)
    )
    assert said["kappa"] > 0.8
    assert said["intervals"]["kappa"][0] > 0.6


def test_a_fold_that_leads_elsewhere_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "fold_0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="fold_0 leads out of"):
        crossvalidate(recipe(store, tmp_path / "cv"))
    assert not list((tmp_path / "elsewhere").iterdir())
