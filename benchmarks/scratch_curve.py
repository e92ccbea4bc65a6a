"""How well a segmenter is trained from scratch on all labels, and how fast.

    python benchmarks/scratch_curve.py

Hippocampus: 160 labelled cases to train on, 40 to validate on, the `small` encoder. Writes the
validation curve and the CPU minutes of the process (all threads, validations included) to
``results/scratch_curve.json``. Interrupted, it continues where it was; the minutes are then those
of the last part, and the file says so.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.recipes.finetune import Finetune, finetune

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "scratch_curve.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--validate-every", type=int, default=100)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("demo") / "scratch_curve")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    store, out = options.work / "store", options.work / "run"
    run_prepare(Prepare(source=options.data / "Task04_Hippocampus", store=store))
    if not (store / "split.json").is_file():
        Split.make(list(Store(store)), validation=0.2, seed=0).save(store / "split.json")
    split = Split.load(store / "split.json")
    continued = (out / "metrics.jsonl").is_file()
    training = Training(steps=options.steps, batch_size=4, lr=4e-3)
    began = time.process_time()
    finetune(
        Finetune(store=store, out=out, validate_every=options.validate_every, training=training)
    )
    minutes = (time.process_time() - began) / 60
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    curve = [
        {"step": row["step"], "dice": round(row["validation_dice"], 4), "seconds": row["seconds"]}
        for row in rows
        if "validation_dice" in row
    ]
    result = {
        "curve": curve,
        "best_dice": max(point["dice"] for point in curve),
        "cpu_minutes": round(minutes, 2),
        "continued": continued,
        "train": len(split.train),
        "validation": len(split.validation),
        "steps": options.steps,
        "batch_size": training.batch_size,
        "lr": training.lr,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
    }
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
