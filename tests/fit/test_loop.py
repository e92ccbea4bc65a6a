import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from scanprior import pretext
from scanprior.contracts import InputError, Learner
from scanprior.fit import Training, engine, fit, newest
from scanprior.fit.log import rows
from tests.conftest import TinyEncoder
from tests.fit.small import Images, Plain, learner

SHORT = {"batch_size": 4, "precision": "32", "accelerator": "cpu", "log_every": 1}


def short(**more: object) -> Training:
    return Training(**SHORT | {"steps": 8, "warmup": 2} | more)  # type: ignore[arg-type]


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_loss_falls(tmp_path: Path, optimizer: str):
    training = short(steps=150, lr=1e-2, optimizer=optimizer)
    fit(learner(), Images(), training, out=tmp_path, seed=0)
    losses = [row["loss"] for row in rows(tmp_path)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_accumulated_micro_batches_give_the_whole_batchs_curve(tmp_path: Path):
    curves = []
    for parts in (1, 2, 4):
        out = tmp_path / str(parts)
        fit(learner(plain=True), Images(), short(accumulation=parts), out=out, seed=0)
        curves.append([row["loss"] for row in rows(out)])
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)
    assert curves[2] == pytest.approx(curves[0], abs=1e-5)


def test_seeds_give_different_runs_and_the_same_seed_the_same(tmp_path: Path):
    curves = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / str(number)
        fit(learner(), Images(), short(), out=out, seed=seed)
        curves.append([row["loss"] for row in rows(out)])
    assert curves[0] == curves[1] != curves[2]


def test_a_finished_run_does_nothing_more_and_gives_its_weights_and_numbers(tmp_path: Path):
    first, again = learner(), learner()
    last = fit(first, Images(), short(), out=tmp_path, seed=0)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert fit(again, Images(), short(), out=tmp_path, seed=0) == last
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


@pytest.mark.parametrize(("steps", "until"), [(3, 3), (-1, 8), (0, 0)])
def test_a_frozen_encoder_stays_bit_identical_until_it_is_freed(
    tmp_path: Path, steps: int, until: int
):
    model = learner()
    start, moved = weights(model), []

    def watch(module: nn.Module, done: int) -> dict[str, float]:
        now = module.state_dict()
        moved.append(any(
            not torch.equal(now[name], start[name]) for name in start if name.startswith("encoder")
        ))  # fmt: skip
        assert not torch.equal(now["head.weight"], start["head.weight"])
        return {}

    fit(
        model, Images(), short(), out=tmp_path, seed=0,
        frozen_encoder_steps=steps, validate=watch, validate_every=1,
    )  # fmt: skip
    assert moved == [done > until for done in range(1, 9)]


def test_what_the_caller_froze_is_not_freed(tmp_path: Path):
    model = learner()
    model.encoder.fine.requires_grad_(False)
    before = model.encoder.fine.weight.clone()
    fit(model, Images(), short(), out=tmp_path, seed=0, frozen_encoder_steps=2)
    assert torch.equal(model.encoder.fine.weight, before)


def test_validation_is_logged_and_the_best_reported_once_each_time_it_rises(tmp_path: Path):
    dice, bests = {2: 0.0, 4: 0.0, 6: -0.6, 8: 0.8}, []

    def validate(module: nn.Module, done: int) -> dict[str, float]:
        assert not module.training
        assert not torch.is_grad_enabled()
        return {"dice": dice[done]}

    last = fit(
        learner(), Images(), short(), out=tmp_path, seed=0, validate=validate, validate_every=2,
        on_best=lambda module, done: bests.append(done),
    )  # fmt: skip
    assert bests == [2, 8]
    assert last["validation_dice"] == 0.8
    assert [r["step"] for r in rows(tmp_path) if "validation_dice" in r] == [2, 4, 6, 8]
    held = newest(tmp_path)
    assert held is not None
    assert held["best"] == 0.8


def test_validation_does_not_change_the_training(tmp_path: Path):
    models = [learner(), learner()]
    fit(models[0], Images(), short(), out=tmp_path / "a", seed=0)
    fit(
        models[1], Images(), short(), out=tmp_path / "b", seed=0,
        validate=lambda module, done: {"noise": float(torch.rand(()))}, validate_every=1,
    )  # fmt: skip
    for name, tensor in models[0].state_dict().items():
        assert torch.equal(tensor, models[1].state_dict()[name])


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path: Path):
    model = learner()
    with pytest.raises(InputError, match="step 4, in the batch of samples 12 to 15"):
        fit(model, Images(bad=13), short(save_every=1), out=tmp_path, seed=0)
    assert all(p.isfinite().all() for p in model.parameters())
    with pytest.raises(InputError, match="lower the learning rate, and look") as caught:
        fit(learner(), Images(bad=1), short(precision="32"), out=tmp_path / "32", seed=0)
    assert "precision" not in str(caught.value)
    with pytest.raises(InputError, match="rate or use precision 32, and look"):
        fit(learner(), Images(bad=1), short(precision="bf16"), out=tmp_path / "16", seed=0)
    held = newest(tmp_path)
    assert held is not None
    assert held["step"] == 3


def test_a_gradient_that_is_not_finite_stops_although_the_loss_is(tmp_path: Path):
    class Steep(Plain):
        def forward(self, x: Tensor) -> list[Tensor]:
            levels = super().forward(x)
            return [levels[0], (levels[1] - levels[1].detach()).abs().sqrt()]  # slope at 0: inf

    model = learner(plain=True)
    model.encoder = Steep()
    with pytest.raises(InputError, match="not finite at step 1, "):
        fit(model, Images(), short(), out=tmp_path, seed=0)


def test_clipping_bounds_the_step_and_zero_does_not_clip(tmp_path: Path):
    ends = []
    for clip in (1e-9, 1.0, 1e9, 0.0):
        model = learner()
        # weight decay would move weights without a gradient
        training = short(clip=clip, weight_decay=0.0, steps=2)
        fit(model, Images(), training, out=tmp_path / str(clip), seed=0)
        ends.append(model.state_dict()["head.bias"])
    assert torch.equal(ends[2], ends[3])
    assert not torch.equal(ends[0], ends[1])


def test_precision_auto_is_bf16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch):
    for native in (True, False):
        monkeypatch.setattr(engine, "native_bf16", lambda native=native: native)
        assert engine._bf16(Training(accelerator="cpu")) is native
        assert engine._bf16(Training(accelerator="cpu", precision="bf16"))
        assert not engine._bf16(Training(accelerator="cpu", precision="32"))


@pytest.mark.parametrize("name", pretext.names())
def test_every_task_trains_in_bf16(name: str, tmp_path: Path):
    class Large(Images):
        def __getitem__(self, i: int) -> Tensor:
            return torch.randn(1, 48, 48, generator=torch.Generator().manual_seed(i))

    model = Learner(pretext.find(name)(), TinyEncoder(2))
    last = fit(model, Large(), short(steps=1, precision="bf16"), out=tmp_path, seed=0)
    assert math.isfinite(last["loss"])


def test_bf16_computes_in_bf16_and_keeps_the_weights_in_32_bits(tmp_path: Path):
    model, seen = learner(), []
    model.encoder.coarse.register_forward_hook(lambda m, i, o: seen.append(o.dtype))
    fit(model, Images(), short(precision="bf16"), out=tmp_path, seed=0)
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_device_that_is_not_there_is_a_sentence(tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so asking for one is no mistake")
    with pytest.raises(InputError, match="cannot start here"):
        fit(learner(), Images(), short(accelerator="cuda"), out=tmp_path, seed=0)
    with pytest.raises(InputError, match="fsdp"):
        fit(
            learner(), Images(), short(strategy="fsdp"), out=tmp_path, seed=0,
            frozen_encoder_steps=3,
        )  # fmt: skip


def test_a_warm_up_that_does_not_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fit(learner(), Images(), short(steps=4, warmup=8, lr=1e-2), out=tmp_path / "a", seed=0)
    said = capsys.readouterr().err
    assert "the warm-up of 8 steps is longer than the training of 4" in said
    assert "no higher than 0.005 of 0.01" in said
    fit(learner(), Images(), short(steps=2, warmup=2), out=tmp_path / "b", seed=0)
    assert "warm-up" not in capsys.readouterr().err
