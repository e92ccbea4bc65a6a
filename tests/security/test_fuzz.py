"""Damaged files through the commands that read them: benchmarks/fuzz.py, with a few of each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
PROMISED = {"nifti": 2000, "dicom": 500, "runs": 500}
FAILURES = {
    *("traceback", "crash", "hang", "memory", "changed source", "wrong volume", "no sentence"),
    *("warning", "no judgement"),
}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks its commands")
@pytest.mark.parametrize(("subject", "count"), [("nifti", 40), ("dicom", 20), ("runs", 20)])
def test_no_damage_does_what_no_input_may_do(subject: str, count: int, tmp_path: Path) -> None:
    results = tmp_path / "fuzz.json"
    command = [sys.executable, str(SCRIPT), "--only", subject, "--count", str(count), "--seed", "1"]
    command += ["--out", str(tmp_path / "out"), "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert found["files"] == {subject: count}
    assert found["failures"] == []
    assert found["outcomes"]["sentence"] > 0
    assert found["outcomes"]["correct volume"] > 0


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
