"""The demo with five seeds: other splits, labels, weights and crops each time.

    python benchmarks/demo_seeds.py

Writes what each found to ``results/demo.json``. Done parts are reused.
"""

import argparse
import json
from pathlib import Path

from scanprior.demo import Demo, run_demo

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "demo.json"
TOLD = ("rows", "difference", "interval", "cases", "pretraining_steps", "finetuning_steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--pretrain-steps", type=int, default=Demo.pretrain_steps)
    parser.add_argument("--finetune-steps", type=int, default=Demo.finetune_steps)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("demo") / "seeds")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = []
    for seed in options.seeds:
        recipe = Demo(
            data=options.data / "Task04_Hippocampus",
            out=options.work / str(seed),
            seed=seed,
            pretrain_steps=options.pretrain_steps,
            finetune_steps=options.finetune_steps,
        )
        result = run_demo(recipe)
        found.append({"seed": seed} | {name: result[name] for name in TOLD})
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
