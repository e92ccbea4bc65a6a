"""Pretraining leaves an encoder that describes itself, and its folder belongs to one recipe."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.pretext.rotation import Rotation
from scanprior.recipes.begin import begin
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.saved import load_weights, read_json, thaw

TRAINING = Training(steps=3, batch_size=2, warmup=0, log_every=1, precision="32", accelerator="cpu")


def recipe(store: Path, out: Path, **more: Any) -> Pretrain:
    told: dict[str, Any] = {"widths": (4, 8), "crop": (16, 16, 16), "training": TRAINING}
    return Pretrain(store=store, out=out, **(told | more))


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_encoder_recipe_and_metrics(ball_store: Path, tmp_path: Path) -> None:
    mine = recipe(ball_store, tmp_path / "run")
    said = pretrain(mine)
    state, about = load_weights(tmp_path / "run" / "encoder.safetensors")
    assert thaw(Pretrain, read_json(tmp_path / "run" / "recipe.json")) == mine
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert about["encoder"] == "small"
    assert about["widths"] == [4, 8]
    assert about["spatial_dims"] == 3
    assert about["in_channels"] == 1
    assert about["data"] == Store(ball_store).digest
    assert about["task"]["task"] == "scanprior.pretext.rotation"
    assert not Path(about["prepared"]["source"]).is_absolute()
    assert said["volumes"] == 12
    assert rows(tmp_path / "run")[-1]["step"] == 3
    assert said["loss"] == pytest.approx(rows(tmp_path / "run")[-1]["loss"])


def test_the_same_command_again_does_nothing_more(ball_store: Path, tmp_path: Path) -> None:
    mine = recipe(ball_store, tmp_path / "run")
    first = pretrain(mine)
    weights = (tmp_path / "run" / "encoder.safetensors").read_bytes()
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert pretrain(mine) == first
    assert (tmp_path / "run" / "encoder.safetensors").read_bytes() == weights
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == log


def test_other_settings_in_the_same_folder_are_refused(ball_store: Path, tmp_path: Path) -> None:
    mine = recipe(ball_store, tmp_path / "run")
    pretrain(mine)
    kept = (tmp_path / "run" / "recipe.json").read_text()
    for changed in (
        dataclasses.replace(mine, seed=1),
        dataclasses.replace(mine, task=Rotation(versions=2)),
        dataclasses.replace(mine, task=Rotation(single_axis=False)),
    ):
        with pytest.raises(InputError, match="other settings"):
            pretrain(changed)
    assert (tmp_path / "run" / "recipe.json").read_text() == kept


def test_the_same_run_in_other_words_goes_on(
    ball_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = recipe(ball_store, Path("run"))
    begin(Path("run"), mine)
    path = tmp_path / "run" / "recipe.json"
    kept = json.loads(path.read_text())
    del kept["spatial_dims"], kept["training"]["clip"], kept["task"]["single_axis"]
    path.write_text(json.dumps(kept))  # of a version that did not have these fields
    how = {"workers": 1, "log_every": 7, "save_every": 9, "accelerator": "auto", "strategy": "ddp"}
    begin(
        path.parent,
        dataclasses.replace(
            mine,
            out=path.parent,
            store=Path(os.path.relpath(ball_store)),
            training=dataclasses.replace(TRAINING, **how),
        ),
    )
    assert json.loads(path.read_text())["training"]["workers"] == 1
    longer = dataclasses.replace(mine, training=dataclasses.replace(TRAINING, steps=9, lr=1e-4))
    with pytest.raises(InputError, match=r"other settings \(training\.lr, training\.steps\)"):
        begin(path.parent, longer)
    with pytest.raises(InputError, match="of another kind of run"):
        begin(path.parent, Finetune(store=ball_store, out=path.parent))


def test_what_is_said_of_files_stays_out_of_the_model(store: Path, tmp_path: Path) -> None:
    index = json.loads((store / "index.json").read_text())
    index["recipe"] = {"intensity": "unit", "grades": "/home/me/x.csv", "patient": "^(P[0-9]+)"}
    (store / "index.json").write_text(json.dumps(index))
    pretrain(recipe(store, tmp_path / "run"))
    about = load_weights(tmp_path / "run" / "encoder.safetensors")[1]
    assert about["prepared"] == {"intensity": "unit", "source": ".", "store": "."}


def test_slices_of_volumes(ball_store: Path, tmp_path: Path) -> None:
    pretrain(recipe(ball_store, tmp_path, spatial_dims=2, crop=(16, 16)))
    state, about = load_weights(tmp_path / "encoder.safetensors")
    assert about["spatial_dims"] == 2
    assert max(tensor.dim() for tensor in state.values()) == 4


def test_weights_are_the_seed_s(ball_store: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)  # what was drawn before must not matter
        pretrain(recipe(ball_store, tmp_path / name, seed=seed))
    a, b, c = (load_weights(tmp_path / n / "encoder.safetensors")[0] for n in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"crop": (16, 16)}, "give --crop 3 numbers"),
        ({"seed": -1}, "seed -1 is impossible"),
        ({"crop": (0, 16, 16)}, "too small"),
        ({"encoder": "large"}, "there is no encoder 'large'"),
        ({"crop": (2, 2, 2)}, "too small"),
    ],
)
def test_what_does_not_go_together_is_said_before_work(
    more: dict[str, Any], sentence: str, ball_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        pretrain(recipe(ball_store, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()


def test_test_volumes_are_left_out(store: Path, tmp_path: Path) -> None:
    Split.make(list(Store(store)), validation=0.0, test=0.25).save(store / "split.json")
    assert pretrain(recipe(store, tmp_path / "run"))["volumes"] == 9
    assert pretrain(recipe(store, tmp_path / "all", hold_out=False))["volumes"] == 12
