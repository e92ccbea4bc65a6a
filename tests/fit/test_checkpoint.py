from pathlib import Path

import pytest
import torch

from scanprior.contracts import InputError
from scanprior.fit import Training, fit, newest
from scanprior.fit.checkpoint import NAME, find, step_of
from tests.fit.small import Images, learner

SHORT = {"batch_size": 2, "precision": "32", "accelerator": "cpu"}


def train(out: Path, steps: int = 5, seed: int = 0, **more: int) -> None:
    training = Training(steps=steps, save_every=1, **SHORT, **more)  # type: ignore[arg-type]
    fit(learner(), Images(), training, out=out, seed=seed)


def names(out: Path) -> list[Path]:
    return sorted((out / "checkpoints").iterdir())


def test_the_last_two_are_kept_and_named_by_step_and_content(tmp_path: Path):
    train(tmp_path)
    assert [step_of(path) for path in names(tmp_path)] == [4, 5]
    assert all(NAME.fullmatch(path.name) for path in names(tmp_path))
    held = newest(tmp_path)
    assert held is not None
    assert held["step"] == 5
    assert set(held["learner"]) == set(learner().state_dict())
    assert newest(tmp_path / "elsewhere") is None


def test_killed_before_the_third_was_removed_a_finished_run_still_keeps_two(tmp_path: Path):
    train(tmp_path, steps=3)
    early = names(tmp_path)[0]
    content = early.read_bytes()
    train(tmp_path)
    early.write_bytes(content)
    train(tmp_path)
    assert [step_of(path) for path in names(tmp_path)] == [4, 5]


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
):
    train(tmp_path)
    whole, latest = newest(tmp_path), names(tmp_path)[-1]
    content = bytearray(latest.read_bytes())
    content[len(content) // 2] ^= 1
    latest.write_bytes({"flip": content, "truncate": content[:-9], "empty": b""}[harm])
    found = find(tmp_path)
    assert found is not None
    assert step_of(found) == 4
    assert "is damaged" in capsys.readouterr().err
    train(tmp_path)  # the lost step is done again, and leaves the same weights
    again = newest(tmp_path)
    assert whole is not None
    assert again is not None
    assert [step_of(path) for path in names(tmp_path)] == [4, 5]
    for name, tensor in whole["learner"].items():
        assert torch.equal(tensor, again["learner"][name])


def test_with_every_checkpoint_damaged_a_run_begins_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train(tmp_path)
    for path in names(tmp_path):
        path.write_bytes(b"nothing")
    train(tmp_path, steps=3)
    said = [line for line in capsys.readouterr().err.splitlines() if "is damaged" in line]
    assert ["one before" in line for line in said] == [True, False]
    assert said[1].endswith("none is left, so training begins at step 0.")
    held = newest(tmp_path)
    assert held is not None
    assert held["step"] == 3


def test_what_a_killed_writer_left_behind_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "writing").write_bytes(b"half a checkpoi")
    assert find(tmp_path) is None
    train(tmp_path, steps=2)
    assert [step_of(path) for path in names(tmp_path)] == [1, 2]


def test_another_runs_checkpoint_is_refused(tmp_path: Path):
    train(tmp_path)
    with pytest.raises(InputError, match="seed 0, not 1"):
        train(tmp_path, steps=6, seed=1)
    for steps in (5, 6):
        with pytest.raises(InputError, match="does not fit"):
            fit(learner(plain=True), Images(), Training(steps=steps, **SHORT), out=tmp_path, seed=0)  # type: ignore[arg-type]
