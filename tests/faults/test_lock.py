"""Two processes on one folder: the second waits, or refuses in a sentence."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning_fabric.utilities.rank_zero import rank_zero_only

from scanprior import alone
from scanprior.contracts import InputError
from tests.faults.balls import content, told, words

VERBS = ("prepare", "autolabel", "pretrain", "finetune", "crossvalidate", "study")
HOLD = """\
import os, sys, time
from pathlib import Path
from scanprior.alone import alone, holding
with (holding if sys.argv[3] == "lock" else alone)(Path(sys.argv[1])):
    if sys.argv[3] == "forks" and os.fork() == 0:
        time.sleep(1)  # a worker that outlives a killed process for a moment
        os._exit(0)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def held(folder: Path, seconds: float, how: str = "") -> subprocess.Popen[str]:
    """Another process that holds ``folder``."""
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_the_second_process_refuses_and_damages_nothing(
    verb: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.2)
    out = work / "out"
    first = held(out, 60)
    before = content(work)
    code, sentence = told(words(verb, work, out), capsys)
    first.kill()
    first.communicate()
    assert code == 2
    assert sentence.startswith(f"scanprior: {out} is being written by another")
    assert content(work) == before
    assert told(words(verb, work, out), capsys)[0] == 0  # the lock died with its holder


@pytest.mark.slow
def test_it_waits_for_one_that_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = held(tmp_path, 0.5)
    with alone.alone(tmp_path):
        assert first.wait(5) == 0
    assert "another process" in capsys.readouterr().err
    first.communicate()


@pytest.mark.slow
def test_the_lock_dies_with_its_holder_even_where_a_worker_lives_on(tmp_path: Path) -> None:
    first = held(tmp_path, 60, "forks")
    first.kill()
    began = time.monotonic()
    with alone.alone(tmp_path):
        assert time.monotonic() - began < alone.WAIT
    first.communicate()


@pytest.mark.slow
def test_tasks_of_a_cluster_that_do_not_train_together_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.1)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as SLURM_PROCID=1 has it
    first = held(tmp_path, 60)
    with pytest.raises(InputError, match="by another process"), alone.alone(tmp_path):
        pass
    with alone.alone(tmp_path, together=True):
        pass
    first.kill()
    first.communicate()


def test_one_process_may_hold_it_twice(tmp_path: Path) -> None:
    with alone.alone(tmp_path / "new"), alone.alone(tmp_path / "new"):
        assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_worker_that_ends_does_not_give_the_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.2)
    with alone.alone(tmp_path):
        worker = multiprocessing.get_context("fork").Process(target=os.getpid)
        worker.start()
        worker.join()
        ask = (
            "import sys; from pathlib import Path\nfrom scanprior import alone\nalone.WAIT = 1e-1\n"
        )
        ask += "with alone.alone(Path(sys.argv[1])): pass"
        other = subprocess.run(
            [sys.executable, "-c", ask, str(tmp_path)], capture_output=True, text=True
        )
        assert "is being written by another process" in other.stderr


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".tmp.123.index.json").write_text("half")
    with alone.alone(tmp_path):
        assert not (tmp_path / ".tmp.123.index.json").exists()


def test_a_store_that_was_killed_at_its_first_file_goes_on(work: Path, capsys) -> None:
    (work / "new").mkdir()
    (work / "new" / ".tmp.123.recipe.json").write_text("{")
    assert told(words("prepare", work, work / "new"), capsys)[0] == 0


@pytest.mark.parametrize("place", ["metrics.jsonl", "checkpoints", "a/b/c.csv"])
def test_a_link_that_leads_out_is_refused(place: str, tmp_path: Path) -> None:
    """A folder from a stranger must not have the next run write somewhere else."""
    out, there = tmp_path / "out", tmp_path / "there"
    there.write_text("mine")
    (out / place).parent.mkdir(parents=True)
    (out / place).symlink_to(there)
    with pytest.raises(InputError, match="leads out of"), alone.alone(out):
        pass
    (out / place).unlink()
    (out / "inside").write_text("")
    (out / place).symlink_to(out / "inside")  # harmless
    with alone.alone(out):
        pass
    assert there.read_text() == "mine"


def test_the_lock_itself_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "there").write_text("mine")
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "there")
    with pytest.raises(InputError, match="leads out of"), alone.alone(tmp_path / "out"):
        pass
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_command_writes_through_no_link(
    verb: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, elsewhere = work / "out", work / "elsewhere"
    elsewhere.mkdir()
    assert told(words(verb, work, out), capsys)[0] == 0
    (out / "linked").symlink_to(elsewhere)
    code, sentence = told(words(verb, work, out), capsys)
    assert code == 2
    assert f"{out / 'linked'} leads out of" in sentence
    assert not list(elsewhere.iterdir())
