"""From graded images to a classifier, its predictions and their scores."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.recipes.evaluate import Evaluate, run_evaluate
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.predict import Predict, predict
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.saved import freeze, load_weights, read_json, thaw
from tests.recipes.graded import LONGER, TRAINING, prepared, write_photographs, write_volumes

pytestmark = pytest.mark.slow  # whole trainings


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs") / "eyes")


@pytest.fixture
def store(eyes: Path, tmp_path: Path) -> Path:
    return prepared(eyes, tmp_path / "store")


def recipe(store: Path, out: Path, **more: Any) -> Finetune:
    told: dict[str, Any] = {"task": Classification(), "widths": (4, 8), "training": TRAINING}
    return Finetune(store=store, out=out, **(told | more))


def test_the_task_is_told_what_the_store_holds(store: Path, tmp_path: Path) -> None:
    said = finetune(recipe(store, tmp_path / "run", task=Classification(balance=1.0)))
    assert set(said) >= {"loss", "accuracy", "validation_accuracy", "validation_kappa", "minutes"}
    learner, about = load_finetuned(tmp_path / "run")
    task = learner.task
    assert isinstance(task, Classification)
    train = Store(store).of(read_json(tmp_path / "run" / "cases.json")["train"])
    assert task.counts == tuple(sum(v.grade == k for v in train) for k in range(3))
    assert (task.classes, task.flip_axes, about["crop"]) == (3, (0, 1), [20, 20])
    split = Split.load(store / "split.json")
    same = {"eye_000", "eye_023"}  # byte for byte: never on two sides
    assert len([part for part in (split.train, split.validation) if same & set(part)]) == 1


def test_grades_not_to_be_flipped_stay(store: Path, tmp_path: Path) -> None:
    finetune(recipe(store, tmp_path / "run", task=Classification(flip_axes=())))
    task = load_finetuned(tmp_path / "run")[0].task
    assert isinstance(task, Classification)
    assert task.flip_axes == ()


def test_from_a_pretext_run_with_the_encoder_frozen_first(store: Path, tmp_path: Path) -> None:
    pretrain(Pretrain(store=store, out=tmp_path / "pre", widths=(4, 8), training=TRAINING))
    start, _ = load_weights(tmp_path / "pre" / "encoder.safetensors")
    mine = recipe(store, tmp_path / "run", start=str(tmp_path / "pre"), widths=None, frozen_steps=2)
    finetune(mine)
    warm, about = load_weights(tmp_path / "run" / "last.safetensors")
    assert about["widths"] == [4, 8]
    assert all(bool((warm[f"encoder.{n}"] == t).all()) for n, t in start.items())
    finetune(dataclasses.replace(mine, out=tmp_path / "free", frozen_steps=1))
    free, _ = load_weights(tmp_path / "free" / "last.safetensors")
    assert any(bool((free[f"encoder.{n}"] != t).any()) for n, t in start.items())


def test_a_split_of_the_user_s_own(store: Path, tmp_path: Path) -> None:
    ids = tuple(volume.id for volume in Store(store))
    Split(ids[:6], ids[6:9], ids[9:], 0).save(tmp_path / "mine.json")
    finetune(recipe(store, tmp_path / "run", split=tmp_path / "mine.json", labels=4.0))
    cases = read_json(tmp_path / "run" / "cases.json")
    assert cases == {"train": list(ids[:4]), "validation": list(ids[6:9])}
    assert not (store / "split.json").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"crop": (20, 20, 20)}, "give --crop 2 numbers"),
        ({"crop": (2, 2)}, "too small"),
        ({"labels": 99.0}, "99 labels were asked for"),
        ({"task": Classification(flip_axes=(2,))}, "flip_axes"),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(
    more: dict[str, Any], sentence: str, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        finetune(recipe(store, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()
    assert not (store / "split.json").exists()


def test_stores_without_the_labels_are_refused(
    store: Path, ball_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no images of two different grades"):
        finetune(recipe(ball_store, tmp_path / "run"))
    with pytest.raises(InputError, match="holds no label maps"):
        finetune(Finetune(store=store, out=tmp_path / "run"))
    index = read_json(store / "index.json")
    index["volumes"][5]["grade"] = None
    (store / "index.json").write_text(json.dumps(index))
    ids = tuple(volume.id for volume in Store(store))
    Split(ids, (), (), 0).save(store / "split.json")
    with pytest.raises(InputError, match=r"eye_005 in .* lacks the label"):
        finetune(recipe(store, tmp_path / "run"))


def test_a_recipe_comes_back_and_goes_on(store: Path, tmp_path: Path) -> None:
    mine = recipe(store, tmp_path / "run", task=Classification(answer="ordinal"))
    finetune(mine)
    kept = read_json(tmp_path / "run" / "recipe.json")
    assert thaw(Finetune, kept) == mine
    assert freeze(mine) == kept
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    finetune(mine)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == log


def test_predictions_and_their_scores(eyes: Path, store: Path, tmp_path: Path) -> None:
    finetune(recipe(store, tmp_path / "run"))
    said = predict(Predict(run=tmp_path / "run", source=eyes, out=tmp_path / "p", mirror=(1,)))
    assert (said["predicted"], said["unchanged"], said["rejected"]) == (24, 0, {})
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["predictions.csv"]
    path = tmp_path / "p" / "predictions.csv"
    table = pd.read_csv(path)
    assert list(table) == ["case", "prediction", "p0", "p1", "p2", "truth"]
    assert table["truth"].tolist() == [v.grade for v in Store(store)]
    assert table[["p0", "p1", "p2"]].sum(axis=1).tolist() == pytest.approx([1] * 24, abs=1e-5)
    assert table["prediction"].tolist() == table[["p0", "p1", "p2"]].to_numpy().argmax(1).tolist()
    found = [
        run_evaluate(Evaluate(predictions=path, labels=labels, out=tmp_path / "scores.csv"))
        for labels in (store, eyes / "labels.csv", path)
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["accuracy"] == (table["truth"] == table["prediction"]).mean()
    low, high = found[0]["intervals"]["auc"]
    assert low <= found[0]["auc"] <= high
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores) == ["metric", "value", "low", "high"]
    assert scores["metric"].tolist() == ["kappa", "accuracy", "auc"]
    # ungraded images have no truth; one of them may be asked for alone
    bare = eyes / "images"
    one = Predict(run=tmp_path / "run", source=bare, out=tmp_path / "q", cases=("eye_004",))
    assert predict(one)["predicted"] == 1
    assert "truth" not in pd.read_csv(tmp_path / "q" / "predictions.csv")
    named = dataclasses.replace(one, grades=eyes / "labels.csv")
    predict(named)
    assert pd.read_csv(tmp_path / "q" / "predictions.csv")["truth"].tolist() == [1]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


GOOD = "case,prediction,p0,p1\na,0,0.9,0.1\nb,1,0.2,0.8\n"


@pytest.mark.parametrize(
    ("predictions", "labels", "sentence"),
    [
        ("case,grade\na,1\n", "case,truth\na,1\n", "has the columns case, grade"),
        ("case,prediction,p1\na,1,1\n", "case,truth\na,1\n", "give predictions with"),
        ("case,prediction,p0,p1\n", "case,truth\na,1\n", "needs rows"),
        (GOOD + "a,1,0,1\n", "case,truth\na,1\n", "each case once"),
        (GOOD.replace("0.9", "much"), "case,truth\na,1\n", "p0 that is no number"),
        (GOOD.replace("b,1", "b,x"), "case,truth\na,1\n", "gives b the grade 'x'"),
        (GOOD, "name,truth\na,1\n", "name two of them case and truth"),
        (GOOD, "image,grade\na,1\n", "predicts b, which has no grade"),
        (GOOD, "image,grade\na,1\nb,half\n", "gives b the grade 'half'"),
        (GOOD, "image,grade\na,1\na.png,0\nb,1\n", "gives a two grades"),
        (GOOD, "image,grade\na,1\nb,2\n", "grade 2 is not among 0 to 1"),
    ],
)
def test_tables_that_cannot_be_scored(
    predictions: str, labels: str, sentence: str, tmp_path: Path
) -> None:
    told = write(tmp_path / "p.csv", predictions), write(tmp_path / "l.csv", labels)
    with pytest.raises(InputError, match=sentence):
        run_evaluate(Evaluate(predictions=told[0], labels=told[1], out=tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()


def test_undefined_scores_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p = write(tmp_path / "p.csv", "case,prediction,p0,p1\na,0,0.9,0.1\nb,0,0.8,0.2\n")
    truth = write(tmp_path / "l.csv", "id_code,diagnosis\na,0\nb.png,0\nc,1\nd,\n")
    cli.main(["evaluate", str(p), str(truth), "--out", str(tmp_path / "s.csv"), "--json"])
    said = json.loads(capsys.readouterr().out, parse_constant=lambda _: 1 / 0)
    assert (said["kappa"], said["accuracy"], said["auc"]) == (None, 1, None)
    assert said["intervals"]["kappa"] == [None, None]
    assert (said["cases"], said["labels_ignored"]) == (2, 1)
    assert pd.read_csv(tmp_path / "s.csv")["value"].isna().tolist() == [True, False, True]


def test_volumes_whole_in_crops_and_slice_by_slice(tmp_path: Path) -> None:
    source = write_volumes(tmp_path / "nodules.npz")
    store = prepared(source, tmp_path / "store")
    for name, more in {
        "whole": {"task": Classification(answer="ordinal")},
        "crop": {"crop": (8, 8, 8)},
        "slices": {"spatial_dims": 2},
    }.items():
        finetune(recipe(store, tmp_path / name, **more))
        learner, about = load_finetuned(tmp_path / name)
        assert isinstance(learner.task, Classification)
        assert learner.task.flip_axes == ()  # a mirrored body is another one
        out = tmp_path / f"{name}_out"
        predict(Predict(run=tmp_path / name, source=source, out=out, part="test"))
        table = pd.read_csv(out / "predictions.csv")
        assert len(table) == 12
        assert table["case"].str.startswith("test_").all()
    assert about["crop"] == [12, 12]


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["softmax", "ordinal"])
def test_grades_are_learned(answer: str, tmp_path: Path) -> None:
    store = prepared(write_photographs(tmp_path / "train", 60, 1), tmp_path / "store")
    task = Classification(answer=answer)
    mine = recipe(
        store, tmp_path / "run", task=task, widths=(8, 16), training=LONGER, validate_every=20
    )
    finetune(mine)
    new = write_photographs(tmp_path / "new", 60, 2)
    predict(Predict(run=tmp_path / "run", source=new, out=tmp_path))
    said = run_evaluate(
        Evaluate(
            predictions=tmp_path / "predictions.csv",
            labels=new / "labels.csv",
            out=tmp_path / "scores.csv",
        )
    )
    assert said["kappa"] > 0.85
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in log.splitlines()]
    kappas = [row["validation_kappa"] for row in rows if "validation_kappa" in row]
    assert len(kappas) == 6


@pytest.mark.slow
def test_retinamnist(data: Path, tmp_path: Path) -> None:
    store = prepared(data / "retinamnist.npz", tmp_path / "store")
    task = Classification(answer="ordinal")
    training = dataclasses.replace(LONGER, batch_size=32, lr=2e-3)
    finetune(
        recipe(
            store, tmp_path / "run", task=task, widths=None, training=training, validate_every=60
        )
    )
    predict(
        Predict(
            run=tmp_path / "run", source=data / "retinamnist.npz", out=tmp_path / "p", part="test"
        )
    )
    said = run_evaluate(
        Evaluate(
            predictions=tmp_path / "p" / "predictions.csv", labels=store, out=tmp_path / "s.csv"
        )
    )
    assert said["cases"] == 400
    assert said["intervals"]["kappa"][0] > 0.2
