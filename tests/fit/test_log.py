import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

import scanprior
from scanprior.contracts import InputError
from scanprior.fit import Training, fit, learning_rate
from scanprior.fit.log import rows
from tests.fit.small import Images, learner

SHORT = {"batch_size": 2, "precision": "32", "accelerator": "cpu", "log_every": 2}


def train(out: Path, *, flat: bool = False, **more: object) -> dict[str, float]:
    training = Training(**SHORT | {"steps": 7} | more)  # type: ignore[arg-type]
    return fit(learner(flat=flat), Images(), training, out=out, seed=0)


def test_rows_are_the_mean_of_the_steps_since_the_last_row(tmp_path: Path):
    last = train(tmp_path / "some")
    train(tmp_path / "all", log_every=1)
    every, some = rows(tmp_path / "all"), rows(tmp_path / "some")
    assert [row["step"] for row in some] == [2, 4, 6, 7]
    assert list(some[0]) == ["step", "loss", "lr", "error", "spread", "seconds"]
    assert some[1]["loss"] == pytest.approx((every[2]["loss"] + every[3]["loss"]) / 2)
    assert some[1]["lr"] == learning_rate(Training(**SHORT | {"steps": 7}), 3)  # type: ignore[arg-type]
    assert some[-1] == last


def test_a_collapsed_embedding_is_flagged_from_the_third_row_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train(tmp_path, flat=True, log_every=1)
    flags = [row.get("collapsed", False) for row in rows(tmp_path)]
    assert flags == [False, False, True, True, True, True, True]
    assert capsys.readouterr().err.count("collapsed") == 1


def test_a_healthy_embedding_is_not_flagged(tmp_path: Path):
    train(tmp_path, log_every=1)
    assert not any("collapsed" in row for row in rows(tmp_path))


def test_the_environment_says_where_a_run_was_computed(tmp_path: Path):
    train(tmp_path)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"]["torch"]
    assert environment["precision"] == "32-true"
    assert environment["device"].startswith("cpu (")


def test_a_run_from_a_source_folder_says_its_version_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    train(tmp_path)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"] == {"scanprior": scanprior.__version__}


def test_tensorboard_events_on_request(tmp_path: Path):
    train(tmp_path / "without")
    assert not (tmp_path / "without" / "tensorboard").exists()
    train(tmp_path, tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss")] == [2, 4, 6, 7]


def test_without_tensorboard_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install"):
        train(tmp_path, tensorboard=True)
