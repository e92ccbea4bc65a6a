"""kill -9 at random moments: the same command again must end as if nothing had happened.

    nice -n 12 env OMP_NUM_THREADS=1 python benchmarks/faults.py

Each command is run undisturbed, then killed again and again at moments drawn over its whole
duration, until it has been killed a few times in a row; then it is left alone, and every file that
it leaves is compared with those of the undisturbed run, byte by byte, in the same place. Only what
measures time is left out (``seconds`` and ``minutes``), and with it the hash in a checkpoint's
name, whose tensors are compared instead. Writes ``results/faults.json``.

Linux or macOS: commands are forked from this process, so that the moments fall into their work and
not into the import of torch.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from scanprior import cli

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "faults.json"
IN_A_ROW = 4
"""Kills before a command is left to end."""
TRAINING = "--batch-size 2 --save-every 3 --log-every 2 --precision 32 --accelerator cpu"
MODEL = "--widths 4 8 --crop 16 16 16"
STUDY = (
    f"{MODEL} --starts scratch rotation --labels 1 2 --seeds 0 --validation 1 --test 2 "
    "--validate-every 3 --predictions 1 "
    + " ".join(
        f"--{part}.steps 8 --{part}.batch-size 2 --{part}.save-every 3 --{part}.log-every 2 "
        f"--{part}.precision 32 --{part}.accelerator cpu"
        for part in ("pretraining", "finetuning")
    )
)
COMMANDS = {
    "prepare": "prepare scans out --workers 1 --spacing 0.8 0.8 0.8",
    "prepare, two workers": "prepare scans out --workers 2 --spacing 0.8 0.8 0.8",
    "pretrain": f"pretrain rotation --store store --out out {MODEL} {TRAINING} --steps 24",
    "pretrain, two loader workers": (
        f"pretrain exemplar --store store --out out {MODEL} {TRAINING} --steps 24 --workers 2"
    ),
    "finetune": (
        f"finetune segmentation --store store --out out {MODEL} {TRAINING} --steps 20 "
        "--validate-every 5 --validation 0.3"
    ),
    "study": f"study --store store --out out {STUDY}",
    "study, two processes": f"study --store store --out out {STUDY} --executor processes",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="kill -9 at random moments")
    parser.add_argument("--kills", type=int, default=60, help="over all commands together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    here = Path.cwd()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_scans(Path("scans"), 16)
        end(started("prepare scans store --workers 1"))
        share, more = divmod(options.kills, len(options.commands))
        for number, name in enumerate(options.commands):
            draw = random.Random(f"{options.seed} {name}")
            rows.append(tried(name, share + (number < more), draw))
            print(json.dumps(rows[-1] | {"moments": "..."}), flush=True)
        os.chdir(here)
    told = {
        "command": f"python benchmarks/{Path(__file__).name} {shlex.join(sys.argv[1:])}".strip(),
        "kills": sum(row["kills"] for row in rows),
        "ends": sum(row["ends"] for row in rows),
        "identical": sum(row["identical"] for row in rows),
        "half_files": sum(row["half_files"] for row in rows),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "rows": rows,
    }
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(told, indent=1) + "\n")
    if told["identical"] < told["ends"] or told["half_files"]:
        sys.exit("a run that was killed ended differently")


def tried(name: str, kills: int, draw: random.Random) -> dict[str, Any]:
    """A row of the table: one command, killed ``kills`` times."""
    clear()
    began = time.monotonic()
    end(started(COMMANDS[name]))
    seconds = latest = time.monotonic() - began
    expected = fingerprint(Path("out"))
    moments: list[float] = []
    found: dict[str, Any] = {"ends": 0, "identical": 0, "half_files": 0, "different": []}
    while len(moments) < kills:
        clear()
        for killed in range(min(IN_A_ROW, kills - len(moments))):
            moment = draw.uniform(0, latest)
            process = started(COMMANDS[name])
            time.sleep(moment)
            if os.waitpid(process, os.WNOHANG) != (0, 0):
                if not killed:
                    latest = moment  # the machine was busier when it was timed
                break  # it had ended; the next command begins anew
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            moments.append(round(moment, 3))
        end(started(COMMANDS[name]))
        now = fingerprint(Path("out"))
        different = sorted(n for n in expected.keys() | now if expected.get(n) != now.get(n))
        found["ends"] += 1
        found["identical"] += not different
        found["different"] += different
        found["half_files"] += sum(".tmp." in n or n.endswith("writing") for n in now)
    return (
        {"name": name, "command": COMMANDS[name], "kills": len(moments)}
        | found
        | {
            "files": len(expected),
            "undisturbed_seconds": round(seconds, 2),
            "moments": moments,
        }
    )


def clear() -> None:
    shutil.rmtree("out", ignore_errors=True)
    Path("store", "split.json").unlink(missing_ok=True)


def started(command: str) -> int:
    """The process of a command."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["scanprior", *shlex.split(command)]
        cli.main(shlex.split(command))
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end(process: int) -> None:
    """Let a command end, as it must: well."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code:
        sys.exit(f"ended with {code}: {Path('log.txt').read_text()}")


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file's hash, without what measures time."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"):
        name = str(path.relative_to(folder))
        if path.suffix == ".ckpt":
            name = name.rpartition("-")[0]
        if path.name == "log.txt":
            continue
        found[name] = hashlib.sha256(timeless(path)).hexdigest()
    return found


def timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".ckpt":
        held = torch.load(io.BytesIO(content), weights_only=True)
        held["log"] = {k: v for k, v in held["log"].items() if k not in ("seconds", "bytes")}
        return repr(plain(held)).encode()
    if path.name == "metrics.jsonl":
        rows = [json.loads(line) for line in content.splitlines()]
        return repr([{k: v for k, v in row.items() if k != "seconds"} for row in rows]).encode()
    if path.name == "status.json":
        told = json.loads(content)
        return repr({k: v for k, v in told.items() if "minutes" not in k}).encode()
    if path.name == "cells.csv":
        table = list(csv.DictReader(io.StringIO(content.decode())))
        return repr(
            [{k: v for k, v in row.items() if "minutes" not in k} for row in table]
        ).encode()
    return content


def plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def write_scans(folder: Path, count: int) -> None:
    """``count`` labelled scans of noise with a bright ball."""
    training = []
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for seed in range(count):
        draw = np.random.default_rng(seed)
        index = np.stack(np.meshgrid(*map(np.arange, (24, 26, 22)), indexing="ij"), -1)
        inside = ((index - draw.uniform(8, 14, 3)) ** 2).sum(-1) < 36
        image = (draw.normal(size=inside.shape) * 0.3 + 2 * inside).astype(np.float32)
        name = f"scan_{seed:02}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / "imagesTr" / name)
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), np.eye(4)), folder / "labelsTr" / name)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    told = {"name": "balls", "training": training, "test": []}
    (folder / "dataset.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
