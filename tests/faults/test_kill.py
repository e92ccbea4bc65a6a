"""kill -9 at random moments: benchmarks/faults.py, with a few kills each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks its commands")
@pytest.mark.parametrize("command", ["prepare", "pretrain", "finetune", "study"])
def test_killed_at_random_moments_the_same_command_ends_bit_identical(
    command: str, tmp_path: Path
) -> None:
    results = tmp_path / "faults.json"
    told = ["--kills", "3", "--seed", "1", "--commands", command, "--results", str(results)]
    done = subprocess.run([sys.executable, str(SCRIPT), *told], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert found["kills"] == 3
    assert found["identical"] == found["ends"] >= 1
    assert found["half_files"] == 0


def test_the_committed_table_has_fifty_kills_and_no_difference() -> None:
    found = json.loads((SCRIPT.parent / "results" / "faults.json").read_text())
    assert found["kills"] == sum(len(row["moments"]) for row in found["rows"]) >= 50
    assert {row["command"].split()[0] for row in found["rows"]} == {
        "prepare", "pretrain", "finetune", "study",
    }  # fmt: skip
    assert found["identical"] == found["ends"] == sum(row["ends"] for row in found["rows"])
    assert found["half_files"] == 0
    assert all(row["different"] == [] for row in found["rows"])
