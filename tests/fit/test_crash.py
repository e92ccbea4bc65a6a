"""Runs that are killed, ended or shared, each in processes of its own."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from scanprior.fit import newest
from scanprior.fit.log import rows
from tests.fit.small import command, run

pytestmark = pytest.mark.slow
LONG = {"steps": 60, "batch_size": 4, "log_every": 3, "save_every": 7}


def same_end(a: Path, b: Path) -> None:
    """The same weights, optimizer and log, bit by bit (all but the seconds)."""
    x, y = newest(a), newest(b)
    assert x is not None
    assert y is not None
    assert x["step"] == y["step"] == 60
    for name, tensor in x["learner"].items():
        assert torch.equal(tensor, y["learner"][name]), name
    for number, slots in x["optimizer"]["state"].items():
        for slot, tensor in slots.items():
            assert torch.equal(tensor, y["optimizer"]["state"][number][slot]), (number, slot)
    left, right = ([row | {"seconds": 0} for row in rows(out)] for out in (a, b))
    assert left == right


def started(out: Path, **more: object) -> subprocess.Popen[bytes]:
    """A run that has begun to train, slowed down so that there is time to end it."""
    process = subprocess.Popen(
        command(out, LONG | more, wait=0.01, frozen=10),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (out / "metrics.jsonl").exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_moments_a_run_ends_bit_identical(tmp_path: Path, workers: int):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run(undisturbed, LONG, frozen=10).returncode == 0
    moments = random.Random(workers)
    stops = 0
    for _ in range(4):
        process = started(killed, workers=workers)
        time.sleep(moments.uniform(0.05, 1.2))
        process.kill()
        process.communicate()
        stops += process.returncode == -signal.SIGKILL
    assert stops >= 2  # else nothing was tested
    assert run(killed, LONG | {"workers": workers}, frozen=10).returncode == 0
    same_end(undisturbed, killed)


def test_sigterm_saves_the_step_and_ends_with_143(tmp_path: Path):
    undisturbed, ended = tmp_path / "undisturbed", tmp_path / "ended"
    assert run(undisturbed, LONG, frozen=10).returncode == 0
    process = started(ended, save_every=1000)
    time.sleep(0.5)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert b"Traceback" not in errors
    held = newest(ended)
    assert held is not None
    assert 0 < held["step"] < 60
    assert run(ended, LONG, frozen=10).returncode == 0
    same_end(undisturbed, ended)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_give_the_curve_of_one(tmp_path: Path, accumulation: int):
    told = {"steps": 20, "batch_size": 8, "log_every": 1, "save_every": 9, "warmup": 3}
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(one, told, plain=True, frozen=4).returncode == 0
    shared = told | {"devices": 2, "accumulation": accumulation}
    done = run(two, shared, plain=True, frozen=4)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"step": 20}\n'  # only one process returns
    curves = [[row["loss"] for row in rows(out)] for out in (one, two)]
    assert len(curves[0]) == 20
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)
    assert curves[0][-1] != curves[0][0]
    a, b = newest(one), newest(two)
    assert a is not None
    assert b is not None
    for name, tensor in a["learner"].items():
        torch.testing.assert_close(tensor, b["learner"][name], atol=1e-4, rtol=0)


def test_two_processes_train_twice_in_one_command(tmp_path: Path):
    told = {"steps": 6, "batch_size": 8, "devices": 2}
    done = run(tmp_path, told, plain=True, runs=["first", "second"])
    assert done.returncode == 0, done.stderr
    # The second process runs the command anew for the second training, and finds the first done.
    assert done.stdout == '{"step": 6}\n' * 3
    for name in ("first", "second"):
        held = newest(tmp_path / name)
        assert held is not None
        assert held["step"] == 6


def test_processes_that_part_do_not_wait_for_each_other_forever(tmp_path: Path):
    """With torch's destroy_process_group alone, they did within the first 50 times."""
    script = Path(__file__).with_name("groups.py")
    done = subprocess.run(
        [sys.executable, str(script), "60", str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs Linux's SCHED_IDLE")
def test_processes_whose_groups_threads_are_late_end_well(tmp_path: Path):
    """Without a word at their end, one in 20 was killed by signal 6, the first or the second: 16
    pairs find that four times of five."""
    script = Path(__file__).with_name("groups.py")
    done = subprocess.run(
        [sys.executable, str(script), "16", str(tmp_path), "end"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_two_processes_say_once_what_is_not_finite(tmp_path: Path):
    told = {"steps": 6, "batch_size": 8, "devices": 2}
    done = run(tmp_path, told, plain=True, bad=8 + 6)  # the second process's part of step 2
    assert done.returncode == 1
    assert done.stderr.count("not finite at step 2, in the batch of samples 8 to 15") == 1


def test_sigterm_to_the_first_of_two_processes_ends_both(tmp_path: Path):
    process = started(tmp_path, devices=2)
    time.sleep(1)
    process.terminate()
    _, errors = process.communicate(timeout=60)  # returns only when the second has closed stderr
    assert process.returncode == 143, errors
    assert newest(tmp_path) is not None
