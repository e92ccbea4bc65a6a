"""Measure this machine and write ``results/speed.json``. Run it alone: ``make bench``."""

import argparse
import json
from pathlib import Path

from scanprior.bench import Bench, bench

RESULTS = Path(__file__).parent / "results" / "speed.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="side of a volume's crop")
    parser.add_argument("--size-2d", type=int, default=224, help="side of an image's")
    parser.add_argument("--encoder", default="unet")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accelerator", default="cpu", help="auto takes a GPU where there is one")
    parser.add_argument("--results", type=Path, default=RESULTS)
    told = parser.parse_args()
    of_all = {name: getattr(told, name) for name in ("encoder", "repeats", "accelerator")}
    found = {
        "store": bench(Bench(what="store", size=told.size, repeats=told.repeats)),
        "step_3d": bench(Bench(what="step", size=told.size, **of_all)),
        "step_2d": bench(
            Bench(what="step", spatial_dims=2, size=told.size_2d, batch_size=4, **of_all)
        ),
    }
    told.results.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
