"""Fine-tuning from scratch and from a pretext run, in 3D and on slices."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from scanprior import alone
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.recipes.finetune import Finetune, carry_out, finetune, plan
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.saved import load_weights, read_json
from tests.faults.test_lock import held

TRAINING = Training(steps=2, batch_size=2, warmup=0, log_every=1, precision="32", accelerator="cpu")


def recipe(store: Path, out: Path, **more: Any) -> Finetune:
    told: dict[str, Any] = {"widths": (4, 8), "crop": (16, 16, 16), "training": TRAINING}
    return Finetune(store=store, out=out, **(told | more))


def pretrained(store: Path, out: Path, **more: Any) -> Path:
    told: dict[str, Any] = {"widths": (4, 8), "crop": (16, 16, 16), "training": TRAINING}
    pretrain(Pretrain(store=store, out=out, **(told | more)))
    return out


def test_from_scratch(store: Path, tmp_path: Path) -> None:
    said = finetune(recipe(store, tmp_path / "run", labels=3.0))
    cases = read_json(tmp_path / "run" / "cases.json")
    split = Split.load(store / "split.json")
    assert said["labels"] == 3
    assert cases["train"] == list(split.train[:3])
    assert not set(cases["train"]) & set(cases["validation"])
    assert 0 <= said["dice"] <= 1
    learner, about = load_finetuned(tmp_path / "run")
    assert about["task"]["classes"] == 2
    assert about["start"] == "scratch"
    assert learner.head(learner.encoder(torch.zeros(1, 1, 16, 16, 16))).shape == (1, 2, 16, 16, 16)


def test_the_best_weights_are_loaded_or_the_last(store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finetune(recipe(store, run, validate_every=1))
    for which in ("best", "last"):
        state, _ = load_weights(run / f"{which}.safetensors")
        state[min(state)] += 1 if which == "best" else 2  # so that the two differ for sure
        about = read_json(run / f"{which}.json")
        save_file(state, run / f"{which}.safetensors", {"scanprior": json.dumps(about)})
        loaded = load_finetuned(run, which)[0].state_dict()
        torch.testing.assert_close(loaded[min(state)], state[min(state)], rtol=0, atol=0)
    (run / "best.safetensors").unlink()
    last = load_finetuned(run, "last")[0].state_dict()
    for name, tensor in load_finetuned(run)[0].state_dict().items():
        torch.testing.assert_close(tensor, last[name], rtol=0, atol=0)


def test_from_a_pretext_run(store: Path, tmp_path: Path) -> None:
    start = pretrained(store, tmp_path / "pretext")
    mine = recipe(store, tmp_path / "run", start=str(start), widths=None, frozen=True)
    finetune(mine)
    encoder, _ = load_weights(start / "encoder.safetensors")
    last, about = load_weights(tmp_path / "run" / "last.safetensors")
    assert about["widths"] == [4, 8]
    for name, tensor in encoder.items():  # frozen: what was loaded is what is left
        torch.testing.assert_close(last[f"encoder.{name}"], tensor, rtol=0, atol=0)
    finetune(dataclasses.replace(mine, out=tmp_path / "free", frozen=False))
    free, _ = load_weights(tmp_path / "free" / "last.safetensors")
    assert any(not torch.equal(free[f"encoder.{n}"], t) for n, t in encoder.items())


def test_a_pretraining_is_no_model(tmp_path: Path) -> None:
    """It is finished, and yet knows no labels: the sentence says what is missing."""
    (tmp_path / "encoder.safetensors").touch()
    with pytest.raises(InputError, match="is a pretraining, which knows no labels; fine-tune it"):
        load_finetuned(tmp_path)


def test_slices_of_volumes(store: Path, tmp_path: Path) -> None:
    start = pretrained(store, tmp_path / "pretext", spatial_dims=2, crop=(16, 16))
    said = finetune(recipe(store, tmp_path / "run", start=str(start), widths=None, crop=(16, 16)))
    assert 0 <= said["dice"] <= 1
    assert load_finetuned(tmp_path / "run")[1]["spatial_dims"] == 2


def test_deep_supervision_is_loaded_again(store: Path, tmp_path: Path) -> None:
    task = Segmentation(deep_supervision=True)
    finetune(recipe(store, tmp_path / "run", task=task, widths=(4, 8, 8)))
    learner, _ = load_finetuned(tmp_path / "run")
    assert isinstance(learner.task, Segmentation)
    assert learner.task.deep_supervision


def test_the_default_crop_suits_volumes_and_encoder(store: Path, tmp_path: Path) -> None:
    finetune(recipe(store, tmp_path / "run", crop=None, widths=(4, 8, 8), labels=2.0))
    crop = load_finetuned(tmp_path / "run")[1]["crop"]
    assert all(side % 4 == 0 and 24 <= side <= 32 for side in crop)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"crop": (17, 16, 16)}, "crop 17 is not divisible by 2; use 16 or 18."),
        ({"crop": (60, 64, 64), "widths": None}, "crop 60 is not divisible by 8; use 56 or 64."),
    ],
)
def test_a_crop_that_does_not_divide(
    more: dict[str, Any], sentence: str, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        finetune(recipe(store, tmp_path / "run", **more))
    assert str(caught.value) == sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"seed": -1}, "seed -1 is impossible"),
        ({"split_seed": -1}, "split_seed -1 is impossible"),
        ({"frozen_steps": -1}, "frozen_steps -1 is impossible"),
        ({"validate_every": -3}, "validate_every -3 is impossible"),
        ({"labels": 50.0}, "50 labels were asked for"),
        ({"labels": 2.5}, "2.5 labels cannot be taken"),
        ({"labels": 0.0}, "labels cannot be taken"),
        ({"start": "nowhere"}, "does not exist"),
        ({"crop": (16, 16)}, "give --crop 3 numbers"),
    ],
)
def test_what_cannot_be_is_said_before_work(
    more: dict[str, Any], sentence: str, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        finetune(recipe(store, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()


def test_one_label_is_one_and_a_tenth_is_a_share(store: Path, tmp_path: Path) -> None:
    assert finetune(recipe(store, tmp_path / "a", labels=1.0))["labels"] == 1
    assert finetune(recipe(store, tmp_path / "b", labels=0.5))["labels"] == 5


def test_another_encoder_than_the_start_s_is_refused(store: Path, tmp_path: Path) -> None:
    start = pretrained(store, tmp_path / "pretext")
    with pytest.raises(InputError, match=r"does not fit this encoder.*first is stages\."):
        finetune(recipe(store, tmp_path / "run", start=str(start), widths=(4, 6)))


def test_again_does_nothing_and_other_settings_are_refused(store: Path, tmp_path: Path) -> None:
    mine = recipe(store, tmp_path / "run")
    first = finetune(mine)
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    weights = (tmp_path / "run" / "best.safetensors").read_bytes()
    again = finetune(mine)
    assert {k: v for k, v in again.items() if k != "minutes"} == {
        k: v for k, v in first.items() if k != "minutes"
    }
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == log
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == weights
    with pytest.raises(InputError, match=r"other settings \(labels\)"):
        finetune(dataclasses.replace(mine, labels=2.0))
    (tmp_path / "run" / "recipe.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        finetune(mine)


def test_two_first_runs_at_once_divide_the_store_once(store: Path, tmp_path: Path) -> None:
    """Both look for the store's split before either has written one."""
    first, second = (recipe(store, tmp_path / f"{seed}", split_seed=seed) for seed in (0, 1))
    plans = plan(first), plan(second)
    assert plans[0].split != plans[1].split
    carry_out(plans[0])
    with pytest.raises(InputError, match=r"has just divided .* differently; give the same command"):
        carry_out(plans[1])
    assert Split.load(store / "split.json") == plans[0].split
    carry_out(plan(second))
    tested = [set(read_json(r.out / "cases.json")["validation"]) for r in (first, second)]
    assert tested[0] == tested[1]


@pytest.mark.slow
def test_a_store_is_divided_under_its_lock(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.2)
    mine = recipe(store, tmp_path / "run")
    other = held(store, 60, how="lock")
    with pytest.raises(InputError, match="store is being written by another process"):
        finetune(mine)
    assert not (store / "split.json").exists()
    plan(mine).split.save(store / "split.json")
    finetune(mine)  # nothing is left to write
    other.kill()
    other.communicate()


def test_relatives_are_kept_together_through_scans_without_labels(
    store: Path, tmp_path: Path
) -> None:
    """Each pair of balls is linked by a third alone, which has no label."""
    index = json.loads((store / "index.json").read_text())
    records = index["volumes"]
    for i in (0, 3, 6, 9):
        one, other, third = records[i : i + 3]
        third |= {"labelled": False, "patient": one["patient"], "sha256": other["sha256"]}
    (store / "index.json").write_text(json.dumps(index))
    for seed in range(4):
        (store / "split.json").unlink(missing_ok=True)
        more = {"split_seed": seed, "validation": 0.25, "test": 0.25}
        split = plan(recipe(store, tmp_path / "run", **more)).split
        parts = [set(part) for part in (split.train, split.validation, split.test)]
        pairs = [{records[i]["id"], records[i + 1]["id"]} for i in (0, 3, 6, 9)]
        assert [sum(pair <= part for part in parts) for pair in pairs] == [1, 1, 1, 1]
