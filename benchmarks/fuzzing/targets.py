"""Files that scanprior wrote itself, and the commands that read each."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .trying import command

_TRAINING = "--batch-size 2 --save-every 2 --precision 32 --accelerator cpu"
_MODEL = "--widths 4 8 --crop 16 16 16"
PREPARE = "prepare scans store --workers 1"
PREPARE_ODD = "prepare odd kept --workers 1"
"""Of scans that give a warning and a rejection."""
PRETRAIN = f"pretrain rotation --store store --out pretext {_MODEL} {_TRAINING} --steps 4"
FINETUNE = (
    f"finetune segmentation --store store --out run {_MODEL} {_TRAINING} --steps 2 "
    "--validate-every 2 --validation 0.3"
)
STARTED = f"{FINETUNE.replace('--out run', '--out new')} --start pretext"
PREDICT = "predict run scans/imagesTr/scan_00.nii.gz --out maps"
TRANSFER = "transfer pretext"
DOCTOR = "doctor store --out doctor --workers 1"
DOCTOR_SCANS = "doctor scans --out doctor --workers 1"
REPORT = "report study --out report"
STUDY = (
    f"study --store store --out study {_MODEL} --starts scratch --labels 1 --seeds 0 "
    "--validation 1 --test 2 --validate-every 1 --predictions 0 "
    + " ".join(
        f"--{part}.steps 1 --{part}.batch-size 2 --{part}.precision 32 --{part}.accelerator cpu"
        for part in ("pretraining", "finetuning")
    )
)
BEGIN = (PREPARE, PREPARE_ODD, PRETRAIN, FINETUNE, PREDICT, STUDY)
"""What makes the files, in this order."""
BEGIN_MODEL = (PREPARE, FINETUNE)
"""What makes the run that predicts."""
SOURCES = ("scans", "odd")


class Target(NamedTuple):
    """A file, what reads it, and where its damage can lie."""

    kind: str
    path: str
    commands: tuple[str, ...]
    first: tuple[str, ...] = ()
    """Folders that are removed first, so that there is something to do."""
    anew: tuple[str, ...] = ()
    """Commands that must write it anew, and all else as if nothing were damaged."""


TARGETS = (
    Target("recipe of a run", "pretext/recipe.json", (PRETRAIN,)),
    Target("recipe of a run", "run/recipe.json", (FINETUNE,)),
    Target("recipe of a store", "store/recipe.json", (PREPARE,)),
    Target(
        "index",
        "store/index.json",
        (DOCTOR, PRETRAIN, STARTED, PREPARE),
        first=("pretext/checkpoints",),
        anew=(PREPARE,),
    ),
    Target("rejections", "kept/rejected.json", (PREPARE_ODD,), anew=(PREPARE_ODD,)),
    Target("warnings", "kept/warnings.json", (PREPARE_ODD,), anew=(PREPARE_ODD,)),
    Target("record", "store/records/scan_01.json", (PREPARE,)),
    Target("split", "store/split.json", (DOCTOR, STARTED, PRETRAIN)),
    Target("cases of a run", "pretext/cases.json", (STARTED,)),
    Target("list of scans", "scans/dataset.json", (DOCTOR_SCANS, PREPARE)),
    Target("checkpoint", "pretext/checkpoints/*4-*.ckpt", (PRETRAIN,)),
    Target("safetensors", "pretext/encoder.safetensors", (TRANSFER, STARTED)),
    Target("safetensors", "run/best.safetensors", (PREDICT,), ("maps",)),
    Target("predictions' model.json", "maps/model.json", (PREDICT,)),
    Target("log", "pretext/metrics.jsonl", (PRETRAIN,)),
    Target("study", "study/study.json", (REPORT,)),
    Target("study", "study/results.csv", (REPORT,)),
    Target("volume", "store/volumes/scan_02.image.b2nd", (DOCTOR, PRETRAIN), ("pretext",)),
)
VERBS = {
    PREPARE: "prepare",
    PREPARE_ODD: "prepare",
    PRETRAIN: "pretrain",
    FINETUNE: "finetune",
    STARTED: "finetune --start",
    PREDICT: "predict",
    TRANSFER: "transfer",
    DOCTOR: "doctor STORE",
    DOCTOR_SCANS: "doctor",
    REPORT: "report",
}


def begin(
    home: Path, write_scans: Callable[[Path, int], None], commands: tuple[str, ...] = BEGIN
) -> None:
    """Make ``work``, whose files are damaged later, and ``whole``, as it was."""
    work = home / "work"
    work.mkdir(parents=True)
    write_scans(work / "scans", 5)
    write_scans(work / "odd", 3)
    _make_odd(work / "odd")
    for words in commands:
        told = command(words.split(), work, 120)
        if told.code != (words == PREPARE_ODD):  # 1: an image was rejected
            raise RuntimeError(f"{words}: {told.err}")
    shutil.copytree(work, home / "whole")


def _make_odd(scans: Path) -> None:
    """Of three scans make one, its copy, and an empty file."""
    for part in ("imagesTr", "labelsTr"):
        shutil.copy(scans / part / "scan_00.nii.gz", scans / part / "scan_01.nii.gz")
    (scans / "imagesTr" / "scan_02.nii.gz").write_bytes(b"")
