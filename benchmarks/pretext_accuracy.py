"""How well each pretext task is solved on subjects it was not trained on.

    python benchmarks/pretext_accuracy.py --dims 3 2

Hippocampus (30 held-out cases, volumes resized to one shape) in 3D, IDRiD (60 held-out images) in
2D. Training stops after ``--minutes`` CPU minutes of the process, all threads counted. Every task's
row is written to ``results/pretext_accuracy.json`` as soon as it is there; rows that are there are
left alone, so the command can be interrupted and run again.
"""

import argparse
import json
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scanprior import draws, pretext
from scanprior.contracts import Learner, Task
from scanprior.data.crops import Crops
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.store import Store, Volume
from scanprior.fit import thin
from scanprior.fit.engine import native_bf16
from scanprior.nn import encoders

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pretext_accuracy.json"
SHAPE = {3: (40, 40, 40), 2: (160, 160)}
HELD_OUT = {3: 30, 2: 60}
SOURCE = {3: "Task04_Hippocampus", 2: "IDRiD"}


@dataclass(frozen=True)
class Setting:
    """What a task is trained with, chosen on the training subjects."""

    batch_size: int
    fields: dict[str, Any] = field(default_factory=dict)
    lr: float = 1e-3
    crop: tuple[int, ...] | None = None


SETTINGS = {
    ("rotation", 3): Setting(8, lr=1e-3),
    ("rpl", 3): Setting(16),
    ("jigsaw", 3): Setting(8),
    ("cpc", 3): Setting(4, {"patch": 16}),
    ("exemplar", 3): Setting(8, {"objective": "contrastive"}, crop=(32, 32, 32)),
    ("exemplar-triplet", 3): Setting(8),
    ("voxels", 3): Setting(4, lr=4e-3),
    ("rotation", 2): Setting(8),
    ("rpl", 2): Setting(12),
    ("jigsaw", 2): Setting(8),
    ("cpc", 2): Setting(4, {"patch": 40}),
    ("exemplar", 2): Setting(8),
    ("voxels", 2): Setting(8, lr=4e-3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=sorted({name for name, _ in SETTINGS}))
    parser.add_argument("--dims", nargs="+", type=int, default=[3, 2])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("demo") / "pretext_accuracy")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    for dims in options.dims:
        store = options.work / f"store{dims}d"
        run_prepare(Prepare(source=options.data / SOURCE[dims], store=store, shape=SHAPE[dims]))
        for name in options.tasks:
            if (name, dims) not in SETTINGS:
                continue
            key = f"{name}_{dims}d"
            rows = json.loads(options.results.read_text()) if options.results.is_file() else {}
            if key in rows:
                continue
            row = measure(name, dims, Store(store), options.minutes)
            rows = json.loads(options.results.read_text()) if options.results.is_file() else {}
            options.results.parent.mkdir(parents=True, exist_ok=True)
            options.results.write_text(json.dumps(rows | {key: row}, indent=1) + "\n")
            print(key, row, flush=True)


def measure(name: str, dims: int, store: Store, minutes: float) -> dict[str, Any]:
    """Train ``name`` for so many CPU minutes, and ask it about the held-out subjects.

    What follows a hyphen in ``name`` tells settings of a task apart.
    """
    setting = SETTINGS[name, dims]
    train, held_out = split(store, HELD_OUT[dims])
    torch.manual_seed(0)
    task = pretext.find(name.partition("-")[0])(**setting.fields)
    learner = Learner(task, encoders.build("small", dims, store.channels))
    size = setting.crop or SHAPE[dims]
    crops = Crops(train, size, seed=0, length=10**9)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=setting.lr, weight_decay=1e-2)
    began, limit, step, losses = time.process_time(), 60 * minutes, 0, []
    while (used := time.process_time() - began) < limit:
        # the cosine runs over the CPU time, since how many steps fit into it is not known before
        rate = setting.lr * 0.5 * (1 + np.cos(np.pi * used / limit)) * min(1, (step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, _ = forward(learner, crops, setting.batch_size, step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        step += 1
        if step % 100 == 0:
            print(
                f"{name} {dims}D step {step}, {used:.0f} s: {np.mean(losses[-100:]):.3f}",
                flush=True,
            )
    learner.eval()
    asked = Crops(held_out, size, seed=1, length=10**9)
    answers: dict[str, list[float]] = {}
    with torch.no_grad():
        for i in range(-(-400 // setting.batch_size)):
            for key, value in forward(
                learner, asked, setting.batch_size, i, seed=1
            ).metrics.items():
                answers.setdefault(key, []).append(value.item())
    return {
        "accuracy": round(float(np.mean(answers["accuracy"])), 4),
        "chance": round(chance(task, name, dims, answers), 5),
        "questions": len(answers["accuracy"]) * setting.batch_size,
        "held_out_subjects": len(held_out),
        "steps": step,
        "cpu_minutes": minutes,
        "loss": round(float(np.mean(losses[-100:])), 4),
        "setting": {"batch_size": setting.batch_size, "lr": setting.lr, **setting.fields},
        "shape": list(SHAPE[dims]),
        "crop": list(size),
        "machine": f"{platform.machine()}, torch {torch.__version__}",
    }


def forward(learner: Learner, crops: Crops, size: int, step: int, *, seed: int = 0) -> Any:
    """One batch through the learner, as the training loop does it."""
    batch = torch.stack([crops[step * size + k] for k in range(size)])  # pyright: ignore
    rng = draws.rng_of(seed, step, device=batch.device, first=0, total=size)
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=native_bf16())
    with thin.guarded(learner), bf16:
        return learner(batch, rng)


def split(store: Store, held_out: int) -> tuple[list[Volume], list[Volume]]:
    """Subjects by a fixed permutation; files that are equal byte for byte stay together."""
    groups: dict[str, list[Volume]] = {}
    for volume in store:
        groups.setdefault(str(volume.record["sha256"]), []).append(volume)
    names = sorted(groups)
    order = [groups[names[i]] for i in np.random.default_rng(0).permutation(len(names))]
    asked: list[Volume] = []
    while len(asked) < held_out:
        asked += order.pop(0)
    return [volume for group in order for volume in group], asked


def chance(task: Task, name: str, dims: int, answers: dict[str, list[float]]) -> float:
    """How often a guess is right."""
    match name:
        case "rotation":
            return {2: 1 / 4, 3: 1 / 10}[dims]
        case "rpl":
            return 1 / (3**dims - 1)
        case "jigsaw":
            return 1 / getattr(task, "permutations", 1)
        case "voxels":
            return 1 / getattr(task, "points", 1)
        case "cpc":
            return float(np.mean(answers["chance"]))
    return 0.5


if __name__ == "__main__":
    main()
