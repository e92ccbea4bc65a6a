"""The probe finds grades that the images show, and finds none where there are none."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store, write_array
from scanprior.fit import Training
from scanprior.metrics.grading import quadratic_weighted_kappa
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.recipes.probe import Probe, probe
from scanprior.saved import write_json
from scanprior.verbs import parse


def graded_store(folder: Path, *, seen: bool, shape: tuple[int, ...] = (24, 24)) -> Path:
    """60 images of noise in 3 grades; with ``seen``, the noise is the sparser the higher."""
    (folder / "volumes").mkdir(parents=True)
    draw = np.random.default_rng(0)
    records = []
    for i in range(60):
        grade = i % 3
        image = draw.normal(size=(1, *shape))
        if seen:
            image *= draw.random(image.shape) < (1.0, 0.2, 0.03)[grade]
        image = (image / image.std()).astype(np.float16)
        write_array(folder / "volumes" / f"{i:02}.image.b2nd", image)
        records.append(
            {
                "id": f"{i:02}",
                "patient": f"{i // 2 if seen else i}",
                "grade": grade,
                "labelled": False,
                "partition": "train",
                "sha256": str(i),
                "shape": list(image.shape),
                "spacing": [1.0] * len(shape),
            }
        )
    header = {"version": 1, "recipe": {}, "spacing": None, "classes": 0, "digest": "grades"}
    write_json(folder / "index.json", header | {"volumes": records})
    return folder


def recipe(store: Path, out: Path, **more: Any) -> Probe:
    told: dict[str, Any] = {"run": "scratch", "widths": (4, 8), "accelerator": "cpu"}
    return Probe(store=store, out=out, **(told | more))


def pretrained(store: Path, out: Path, crop: tuple[int, ...]) -> Path:
    short = Training(steps=1, batch_size=2, warmup=0, precision="32", accelerator="cpu")
    pretrain(Pretrain(store=store, out=out, widths=(4, 8), crop=crop, training=short))
    return out


@pytest.mark.slow
def test_grades_that_are_there_are_found(tmp_path: Path) -> None:
    store = graded_store(tmp_path / "s", seen=True)
    said = probe(recipe(store, tmp_path / "p.csv"))
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table) == ["case", "fold", "truth", "knn", "linear", "p0", "p1", "p2"]
    assert sorted(table["case"]) == list(range(60))  # every image is scored once, in 5 folds
    assert sorted(set(table["fold"])) == list(range(5))
    patients = {v.id: v.patient for v in Store(store)}
    folds = table.groupby([patients[f"{c:02}"] for c in table["case"]])["fold"].nunique()
    assert (folds == 1).all()
    for name in ("knn", "linear"):
        assert said[name]["accuracy"] > {"knn": 0.7, "linear": 0.9}[name]
        assert said[name]["accuracy"] == pytest.approx((table[name] == table["truth"]).mean())
        kappa = quadratic_weighted_kappa(table["truth"].to_numpy(), table[name].to_numpy(), 3)
        assert said[name]["kappa"] == pytest.approx(kappa)
        low, high = said["intervals"][name]["accuracy"]
        assert low <= said[name]["accuracy"] <= high
    assert said["majority"] < 0.5
    assert said["features"] == 2 * (4 + 8)
    again = probe(recipe(store, tmp_path / "q.csv"))
    assert again | {"out": ""} == said | {"out": ""}


@pytest.mark.slow
def test_grades_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    said = probe(recipe(graded_store(tmp_path / "s", seen=False), tmp_path / "p.csv"))
    assert said["knn"]["accuracy"] < 0.55
    assert said["linear"]["accuracy"] < 0.55


@pytest.mark.slow
def test_the_store_s_split_and_a_run(tmp_path: Path) -> None:
    store = graded_store(tmp_path / "s", seen=True)
    split = Split.make(list(Store(store)), validation=0.2, test=0.3)
    split.save(store / "split.json")
    run = pretrained(store, tmp_path / "run", crop=(16, 16))
    mine = recipe(store, tmp_path / "p.csv", run=str(run), widths=None)
    said = probe(mine)
    table = pd.read_csv(tmp_path / "p.csv")
    assert sorted(f"{c:02}" for c in table["case"]) == sorted(split.test)
    assert said["linear"]["accuracy"] > 0.8
    (chosen,) = said["chosen"]
    told = dataclasses.replace(mine, neighbours=3, l2=0.5, folds=2, levels="coarsest")
    said = probe(told)
    assert said["chosen"] == [{"neighbours": 3, "l2": 0.5}] * 2
    assert said["features"] == 2 * 8
    assert set(chosen) == {"neighbours", "l2"}


@pytest.mark.slow
def test_slices_of_volumes(tmp_path: Path) -> None:
    store = graded_store(tmp_path / "s", seen=True, shape=(8, 16, 16))
    said = probe(recipe(store, tmp_path / "p.csv", spatial_dims=2))
    assert said["knn"]["accuracy"] > 0.7
    assert said["linear"]["accuracy"] > 0.9


def test_what_cannot_be_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no grades.*finetune segmentation --frozen"):
        probe(recipe(store, tmp_path / "p.csv"))
    flat = graded_store(tmp_path / "s", seen=True)
    with pytest.raises(InputError, match="is a folder"):
        probe(recipe(flat, tmp_path))
    with pytest.raises(InputError, match="0 neighbours"):
        probe(recipe(flat, tmp_path / "p.csv", neighbours=0))
    with pytest.raises(InputError, match="l2 -1"):
        probe(recipe(flat, tmp_path / "p.csv", l2=-1.0))
    with pytest.raises(InputError, match="does not exist"):
        probe(recipe(flat, tmp_path / "p.csv", run=str(tmp_path / "nowhere")))
    run = pretrained(store, tmp_path / "run", crop=(16, 16, 16))
    with pytest.raises(InputError, match="give a 2D run"):
        probe(recipe(flat, tmp_path / "p.csv", run=str(run)))
    assert not (tmp_path / "p.csv").exists()


def test_the_command() -> None:
    line = "probe r --store s --out o.csv --folds 3 --levels coarsest --l2 1"
    assert parse(line.split())[0] == Probe(
        run="r", store=Path("s"), out=Path("o.csv"), folds=3, levels="coarsest", l2=1.0
    )


def test_images_that_the_run_was_trained_on_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = graded_store(tmp_path / "store", seen=True)
    run = pretrained(store, tmp_path / "run", (24, 24))
    found = probe(recipe(store, tmp_path / "a.csv", run=str(run), folds=2))
    assert (found["cases"], found["seen"]) == (60, 60)
    assert "was trained on the images of 60 of the test cases" in capsys.readouterr().err
    assert probe(recipe(store, tmp_path / "b.csv", folds=2))["seen"] == 0
    assert "was trained on" not in capsys.readouterr().err


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    store = graded_store(tmp_path / "store", seen=True)
    with pytest.raises(InputError, match="folds"):
        probe(recipe(store, tmp_path / "a.csv", folds=0))
    with pytest.raises(InputError, match="holds 2D images; leave out --spatial-dims 3"):
        probe(recipe(store, tmp_path / "a.csv", spatial_dims=3))
