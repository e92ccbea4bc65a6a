"""Measure this machine and write ``results/speed.json``. Run it alone: ``make bench``."""

import json
from pathlib import Path

from scanprior.bench import Bench, bench

RESULTS = Path(__file__).parent / "results" / "speed.json"


def main() -> None:
    found = {
        "store": bench(Bench(what="store")),
        "step_3d": bench(Bench(what="step")),
        "step_2d": bench(Bench(what="step", spatial_dims=2, size=224, batch_size=4)),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
