"""Recipes and weights survive the way to the disk and back; what is damaged says so."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from scanprior import pretext
from scanprior.contracts import InputError, Task
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.nn.augment import Augment
from scanprior.pretext.rotation import Rotation
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.predict import Predict
from scanprior.recipes.pretrain import Pretrain
from scanprior.saved import (
    as_json,
    freeze,
    load_weights,
    read_json,
    save_weights,
    seen_from,
    thaw,
    write_json,
)

RECIPES = [
    Pretrain(
        store=Path("s"),
        out=Path("o"),
        task=Rotation(single_axis=False, versions=3),
        widths=(4, 8),
        crop=(16, 16, 16),
        spatial_dims=3,
        training=Training(steps=3, optimizer="adam"),
    ),
    Finetune(
        store=Path("s"),
        out=Path("o"),
        start="runs/x",
        labels=0.1,
        task=Segmentation(classes=3, augment=Augment(), flip_axes=(0, 2)),
    ),
    Predict(run=Path("r"), source=Path("s"), out=Path("o"), cases=("a", "b"), mirror=(0,)),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: type(r).__name__)
def test_a_recipe_comes_back_as_it_was(recipe: object, tmp_path: Path) -> None:
    write_json(tmp_path / "recipe.json", recipe)
    assert thaw(type(recipe), read_json(tmp_path / "recipe.json")) == recipe


def test_what_is_not_finite_is_null_since_json_knows_no_nan(tmp_path: Path) -> None:
    value = {"a": float("nan"), "b": [1, (float("inf"), 2.5)], "c": {"d": -float("inf")}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    expected = {"a": None, "b": [1, [None, 2.5]], "c": {"d": None}}
    assert json.loads(text, parse_constant=lambda _: pytest.fail("no JSON")) == expected
    assert json.loads(as_json(value)) == expected


@pytest.mark.parametrize("name", pretext.names())
def test_every_task_comes_back(name: str) -> None:
    recipe = Pretrain(store=Path("s"), out=Path("o"), task=pretext.find(name)())
    assert thaw(Pretrain, json.loads(json.dumps(freeze(recipe)))) == recipe


def test_what_an_old_recipe_does_not_say_is_what_it_was_then() -> None:
    for task in (Classification(), Classification(levels="coarsest")):
        assert thaw(Task, freeze(task)) == task
    before = freeze(Classification())
    del before["levels"]
    assert thaw(Task, before) == Classification(levels="coarsest")


def test_an_unknown_field_is_refused() -> None:
    frozen = freeze(RECIPES[0]) | {"shell": "rm -rf /"}
    with pytest.raises(InputError, match="unknown field 'shell'"):
        thaw(Pretrain, frozen)
    nested = freeze(RECIPES[0])
    nested["training"]["gpus"] = 9
    with pytest.raises(InputError, match="unknown field 'gpus'"):
        thaw(Pretrain, nested)


@pytest.mark.parametrize("module", ["os", "scanprior.saved", "no.such.module", "nonsense", 3, None])
def test_what_is_no_task_is_refused(module: object) -> None:
    frozen = freeze(RECIPES[0])
    frozen["task"]["task"] = module
    with pytest.raises(InputError):
        thaw(Pretrain, frozen)


def test_a_task_without_its_name_and_a_missing_field_are_refused() -> None:
    frozen = freeze(RECIPES[0])
    del frozen["task"]["task"]
    with pytest.raises(InputError, match="names no task"):
        thaw(Pretrain, frozen)
    with pytest.raises(InputError, match="lacks the field 'out'"):
        thaw(Pretrain, {"store": "s"})
    with pytest.raises(InputError, match="Pretrain"):
        thaw(Pretrain, [1, 2])


def test_weights_describe_themselves(tmp_path: Path) -> None:
    module, path = nn.Linear(3, 2), tmp_path / "encoder.safetensors"
    save_weights(path, module, {"encoder": "small", "widths": (4, 8)})
    state, about = load_weights(path)
    assert about == {"encoder": "small", "widths": [4, 8]}
    assert read_json(path.with_suffix(".json")) == about
    assert state.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.json", "encoder.safetensors"]


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(InputError, match="does not exist"):
        load_weights(path)
    save_weights(path, nn.Linear(30, 20), {"encoder": "small"})
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04 nonsense", whole[:8]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            load_weights(path)


def test_weights_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match="not scanprior's"):
        load_weights(path)
    save_file({"weight": torch.ones(2)}, path, {"scanprior": "{not json"})
    with pytest.raises(InputError, match="damaged"):
        load_weights(path)


def test_json_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "recipe.json")
    (tmp_path / "recipe.json").write_text('{"half": ')
    with pytest.raises(InputError, match="is not JSON"):
        read_json(tmp_path / "recipe.json")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/home/a/demo/store", "../store"),
        ("/home/a/demo/study", "."),
        ("/home/a/demo/study/x.json", "x.json"),
        ("/scratch/patients/store", "store"),
        ("/", ""),
        ("/home/a/demo", ".."),
        ("/home/a/patients/store", "store"),
        ("/home/b/patients/store", "store"),
        ("/home/a/demo/../demo/store", "../store"),
    ],
)
def test_paths_are_kept_without_the_machine(path: str, seen: str) -> None:
    assert seen_from(Path("/home/a/demo/study"), Path(path)) == seen


def test_relative_paths_stay_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert seen_from(Path("study"), Path("store")) == "../store"
    assert seen_from(Path("study"), tmp_path / "store") == "../store"


def test_paths_lead_there_through_links(tmp_path: Path) -> None:
    away, here = tmp_path / "disk" / "away", tmp_path / "here"
    for folder in (away, here / "store"):
        folder.mkdir(parents=True)
    (here / "runs").symlink_to(away)
    (away.parent / "linked").symlink_to(here / "store")
    out = here / "runs" / "study"
    assert seen_from(out, here / "store") == "store"  # by links it would be ../../store
    (away / "store").mkdir()
    assert (out / seen_from(out, here / "runs" / "store")).resolve() == away / "store"
    assert seen_from(here / "study", away.parent / "linked") == "../store"
