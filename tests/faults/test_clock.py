"""Clocks that jump: what is newest is told by steps and contents, how long by a steady clock."""

import itertools
import os
import time
from pathlib import Path

import pytest
import torch

from scanprior.fit import newest
from scanprior.fit.log import rows
from scanprior.recipes import finetune as recipes
from tests.faults.balls import content, told, words
from tests.fit.test_checkpoint import names, train


def test_a_resumed_run_does_not_look_at_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole", steps=8)
    train(tmp_path / "cut", steps=5)
    for age, path in enumerate(names(tmp_path / "cut")):  # the newest looks the oldest by decades
        os.utime(path, (4e9 - 1e9 * age, 4e9 - 1e9 * age))
    jumps = itertools.cycle([9e9, 0.0, 5e8])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    train(tmp_path / "cut", steps=8)
    a, b = newest(tmp_path / "whole"), newest(tmp_path / "cut")
    assert a is not None
    assert b is not None
    assert a["step"] == b["step"] == 8
    for name, tensor in a["learner"].items():
        assert torch.equal(tensor, b["learner"][name])
    seconds = [row["seconds"] for row in rows(tmp_path / "cut")]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 60


@pytest.mark.slow
def test_prepare_and_finetune_while_the_clock_jumps(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    out = work / "new"
    assert told(words("prepare", work, out), capsys)[0] == 0
    before = content(out)
    jumps = itertools.cycle([9e9, 0.0, 5e8])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    for path in out.rglob("*"):
        os.utime(path, (4e9, 4e9))
    assert told(words("prepare", work, out), capsys)[0] == 0
    assert content(out) == before
    said = recipes.finetune(_recipe(work))
    assert 0 <= said["minutes"] < 5


def _recipe(work: Path) -> recipes.Finetune:
    from scanprior.verbs import parse

    return parse(words("finetune", work, work / "out"))[0]
