"""Sources that vanish or change while they are read, and workers that are killed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior.data.sources import Case
from scanprior.data.store import Store
from tests.faults.balls import begun, content, source, told, words
from tests.fit.small import command, run
from tests.fit.test_crash import LONG, same_end

VICTIM = "scan_03"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_file_that_vanishes_is_rejected_and_the_others_go_on(
    moment: str, part: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    victim = work / "scans" / part / f"{VICTIM}.nii.gz"
    kept, times = victim.read_bytes(), victim.stat()
    read = Case.read

    def vanishing(case: Case):
        if case.id == VICTIM and moment == "before":
            victim.unlink()
        found = read(case)
        if case.id == VICTIM and moment == "after":
            victim.unlink()
        return found

    out = work / "new"
    with monkeypatch.context() as patch:
        patch.setattr(Case, "read", vanishing)
        code, sentence = told(words("prepare", work, out), capsys)
    assert code == 1
    assert VICTIM in sentence
    assert "No such file" in sentence or "does not exist" in sentence
    assert len(Store(out)) == 7
    victim.write_bytes(kept)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert told(words("prepare", work, out), capsys)[0] == 0
    assert volumes(out) == volumes(work / "store")


def volumes(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((store / "volumes").iterdir())}


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_read_is_not_believed(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    victim, out = work / "scans" / "imagesTr" / f"{VICTIM}.nii.gz", work / "new"
    read = Case.read

    def changing(case: Case):
        found = read(case)
        if case.id == VICTIM:
            image = np.random.default_rng(9).normal(size=(24, 26, 22)).astype(np.float32)
            nib.save(nib.Nifti1Image(image, np.eye(4)), victim)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Case, "read", changing)
        code, sentence = told(words("prepare", work, out), capsys)
    assert code == 1
    assert f"{VICTIM}.nii.gz changed while it was read" in sentence
    assert VICTIM not in {volume.id for volume in Store(out)}
    assert told(words("prepare", work, out), capsys)[0] == 0
    now, before = volumes(out), volumes(work / "store")
    assert {name for name in now if now[name] != before[name]} == {f"{VICTIM}.image.b2nd"}


def descendants(parent: int) -> dict[int, int]:
    """Process to parent, of all that ``parent`` started."""
    above = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            above[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
    found: dict[int, int] = {}
    level = {parent}
    while level := {child for child, up in above.items() if up in level}:
        found |= {child: above[child] for child in level}
    return found


def workers_of(process, depth: int) -> list[int]:
    """Once they are there: the processes so many levels below ``process``."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        below = descendants(process.pid)
        found = [
            child
            for child, parent in below.items()
            if (parent == process.pid) == (depth == 1) and "tracker" not in cmdline(child)
        ]
        if len(found) >= 2:
            return found
        time.sleep(0.01)
    raise AssertionError("no workers came")


def cmdline(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_text()
    except OSError:
        return ""


def robbed(
    process: subprocess.Popen[str], depth: int, midway: Callable[[], bool]
) -> tuple[int, str]:
    """Kill one of the processes ``depth`` levels below once ``midway``: code and last words."""
    victims = workers_of(process, depth)
    while not midway():
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(victims[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="it finds the workers in /proc")
def test_a_killed_worker_of_prepare_is_said_and_nothing_is_lost(tmp_path: Path, capsys) -> None:
    source(tmp_path / "scans", 80)
    out = tmp_path / "out"
    process = begun([*words("prepare", tmp_path, out)[:-1], "2"])
    code, errors = robbed(process, 2, lambda: len(list(out.glob("records/*.json"))) >= 3)
    assert code == 2, errors
    assert errors.strip().splitlines()[-1].startswith("scanprior: a worker process ended")
    assert told(words("prepare", tmp_path, out), capsys)[0] == 0
    assert told(words("prepare", tmp_path, tmp_path / "whole"), capsys)[0] == 0
    assert volumes(out) == volumes(tmp_path / "whole")
    assert not [name for name in content(out) if ".tmp." in name]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="it finds the workers in /proc")
def test_a_killed_reader_of_crops_is_said_and_the_run_continues(tmp_path: Path) -> None:
    assert run(tmp_path / "whole", LONG, frozen=10).returncode == 0
    told = command(tmp_path / "cut", LONG | {"workers": 2}, wait=0.02, frozen=10)
    process = subprocess.Popen(told, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    code, errors = robbed(process, 1, lambda: any((tmp_path / "cut").glob("checkpoints/step-*")))
    assert code == 1, errors
    assert "a process that reads crops was ended from outside" in errors
    assert run(tmp_path / "cut", LONG, frozen=10).returncode == 0
    same_end(tmp_path / "whole", tmp_path / "cut")
