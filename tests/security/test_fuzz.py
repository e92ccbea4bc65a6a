"""Damaged files through the commands that read them: benchmarks/fuzz.py, with a few of each."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
PROMISED = {"nifti": 2000, "dicom": 500, "runs": 500}
FAILURES = {
    *("traceback", "crash", "hang", "memory", "changed source", "wrong volume", "no sentence"),
    *("warning", "no judgement"),
}


def fuzzed(folder: Path, *words: str) -> dict[str, Any]:
    """What the script with these words writes, and keeps in ``folder``."""
    results = folder / "fuzz.json"
    command = [sys.executable, str(SCRIPT), *words, "--out", str(folder / "out")]
    command += ["--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(results.read_text())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks its commands")
@pytest.mark.parametrize(("subject", "count"), [("nifti", 40), ("dicom", 20), ("runs", 20)])
def test_no_damage_does_what_no_input_may_do(subject: str, count: int, tmp_path: Path) -> None:
    found = fuzzed(tmp_path, "--only", subject, "--count", str(count), "--seed", "1")
    assert found["files"] == {subject: count}
    assert found["failures"] == []
    assert found["outcomes"]["sentence"] > 0
    assert found["outcomes"]["correct volume"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks its commands")
def test_each_seed_has_tries_and_a_table_of_its_own(tmp_path: Path) -> None:
    """A series of the first is refused by the name of another file of it than the damaged one."""
    few = ("--only", "dicom", "--count", "2", "--awkward", str(tmp_path / "none"))
    first = fuzzed(tmp_path, *few, "--seed", "1")
    other = fuzzed(tmp_path, *few, "--seed", "7")
    notes = (tmp_path / "out" / "dicom.jsonl").read_text()
    assert first["rows"] != other["rows"]
    for seed, found in ((1, first), (7, other)):
        assert found["seed"] == seed
        assert f"--count 2 --awkward {tmp_path / 'none'} --seed {seed} --out" in found["command"]
        assert found["files"] == {"dicom": 2}
    again = fuzzed(tmp_path, *few, "--seed", "1")
    assert again == first
    assert (tmp_path / "out" / "dicom.jsonl").read_text() == notes


def test_the_committed_table_has_the_promised_totals_and_no_failure() -> None:
    found = json.loads((SCRIPT.parent / "results" / "fuzz.json").read_text())
    assert {name: found["files"][name] >= count for name, count in PROMISED.items()} == (
        dict.fromkeys(PROMISED, True)
    )
    assert found["files"]["awkward"] > 0
    assert found["failures"] == []
    total: dict[str, int] = {}
    for row in found["rows"]:
        for word, count in row["outcomes"].items():
            total[word] = total.get(word, 0) + count
    assert total == found["outcomes"]
    assert sum(total.values()) == found["commands"]
    assert not FAILURES & total.keys()
    assert {row["command"] for row in found["rows"]} >= {"doctor", "prepare", "predict"}
