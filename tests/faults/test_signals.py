"""SIGTERM and SIGUSR1, as a cluster sends them before it takes the machine away."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scanprior.fit import engine, newest
from tests.faults.balls import begun, content, told, words
from tests.fit.small import command, run
from tests.fit.test_crash import LONG, same_end

SIGNALS = [signal.SIGTERM, signal.SIGUSR1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_preempted_training_saves_its_step_and_goes_on_when_queued_again(
    number: signal.Signals, workers: int, tmp_path: Path
) -> None:
    """To the whole group, loader workers included, as SLURM sends it to all of a job's step."""
    undisturbed, cut = tmp_path / "undisturbed", tmp_path / "cut"
    assert run(undisturbed, LONG, frozen=10).returncode == 0
    training = LONG | {"save_every": 1000, "workers": workers}
    process = subprocess.Popen(
        command(cut, training, wait=0.02, frozen=10),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (cut / "metrics.jsonl").exists() or not (cut / "metrics.jsonl").read_text():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, number)
    asked = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked < 10
    assert process.returncode == engine.TERMINATED, errors
    assert "Traceback" not in errors
    held = newest(cut)
    assert held is not None
    assert 0 < held["step"] < 60
    assert run(cut, LONG | {"workers": workers}, frozen=10).returncode == 0
    same_end(undisturbed, cut)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("verb", ["pretrain", "finetune", "study"])
def test_a_preempted_command_loses_at_most_an_interval(
    verb: str, number: signal.Signals, work: Path, capsys
) -> None:
    """Saved every second step; a checkpoint is there when the signal comes, and one step more."""
    out = work / "out"
    process = begun(words(verb, work, out, steps=400))
    until = time.monotonic() + 100
    while not list(out.rglob("step-*.ckpt")):
        assert process.poll() is None, process.stderr
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == engine.TERMINATED, errors
    assert "Traceback" not in errors
    (run_folder,) = {path.parents[1] for path in out.rglob("step-*.ckpt")}
    held = newest(run_folder)
    assert held is not None
    rows = (run_folder / "metrics.jsonl").read_text().splitlines()
    assert max(int(row.split('"step": ')[1].split(",")[0]) for row in rows) == held["step"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["pretrain", "finetune", "study"])
def test_a_requeued_command_ends_as_if_undisturbed(verb: str, work: Path, capsys) -> None:
    out = work / "out"
    assert told(words(verb, work, out, steps=30), capsys)[0] == 0
    expected = content(out)
    os.rename(out, work / "undisturbed")
    process = begun(words(verb, work, out, steps=30))
    while not list(out.rglob("step-*.ckpt")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=60)
    assert process.returncode == engine.TERMINATED
    assert told(words(verb, work, out, steps=30), capsys)[0] == 0
    assert content(out) == expected


def test_a_handler_of_the_clusters_own_stays() -> None:
    """submitit queues a job again by a handler of SIGUSR1; ours must not take its place."""
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with engine.termination() as asked:
            signal.raise_signal(signal.SIGUSR1)
            assert heard == [1]
            assert not asked.is_set()
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_study_that_was_asked_before_its_training_began_stops_it(number: signal.Signals) -> None:
    with engine.termination() as outer:
        signal.raise_signal(number)
        with engine.termination() as inner:
            assert inner.is_set()
        assert outer.is_set()
    assert signal.getsignal(number) is signal.SIG_DFL
