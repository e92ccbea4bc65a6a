"""A source of tiny scans, commands on it, and what they leave."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scanprior import cli
from tests.recipes.scans import write_scans

SCANS = 8
TINY = "--widths 4 8 --batch-size 2 --log-every 1 --precision 32 --accelerator cpu"
CROP = ("--crop", "16", "16", "16")


def source(folder: Path, count: int = SCANS) -> Path:
    """``count`` labelled scans, each another."""
    return write_scans(folder, {f"scan_{i:02}": np.eye(4) for i in range(count)})


def words(verb: str, work: Path, out: Path, steps: int = 6) -> list[str]:
    """A command on ``scans``, ``store`` or ``graded`` (a store, too) in ``work`` that writes
    ``out``."""
    store = ["--store", str(work / "store"), "--out", str(out)]
    told = [*TINY.split(), "--steps", str(steps), "--save-every", "2"]
    match verb:
        case "prepare":
            return ["prepare", str(work / "scans"), str(out), "--workers", "1"]
        case "autolabel":
            return ["autolabel", str(work / "store"), str(out), "--workers", "1"]
        case "pretrain":
            return ["pretrain", "rotation", *store, *CROP, *told]
        case "finetune":
            return ["finetune", "segmentation", *store, *CROP, *told, "--validate-every", "3"]
        case "crossvalidate":
            graded = ["--store", str(work / "graded"), "--out", str(out), "--folds", "2"]
            return ["crossvalidate", "classification", *graded, *CROP[:-1], *told]
        case "predict":
            return ["predict", str(work / "run"), str(work / "scans"), "--out", str(out)]
    said = "--labels 1 --seeds 0 --validation 1 --test 2 --validate-every 2 --widths 4 8"
    for part in ("pretraining", "finetuning"):
        said += f" --{part}.steps {steps} --{part}.batch-size 2 --{part}.save-every 2"
        said += f" --{part}.log-every 1 --{part}.precision 32 --{part}.accelerator cpu"
    return ["study", *store, *CROP, *said.split()]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, and the last thing it said on standard error."""
    code: int | str | None = 0
    try:
        cli.main(arguments)
    except SystemExit as end:
        code = end.code
    assert isinstance(code, int)
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    lines = errors.strip().splitlines()
    return code, lines[-1] if lines else ""


def begun(arguments: list[str], **how: bool) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "scanprior", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **how
    )  # type: ignore[call-overload]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store or of final weights; not what holds times or belongs to a lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix in (".b2nd", ".safetensors", ".csv", ".json")
        and path.name not in ("environment.json", "cells.csv", "status.json", "recipe.json")
    }
