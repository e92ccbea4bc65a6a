"""Write the README's results table from the committed results. ``--check`` only compares."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "benchmarks/results/pretext_accuracy.json -->\n", "<!-- end -->"


def table() -> str:
    rows = json.loads((HERE / "results" / "pretext_accuracy.json").read_text())
    lines = [
        "| task | accuracy | chance | steps | CPU minutes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in sorted(rows.items()):
        task, dims = name.rsplit("_", 1)
        lines.append(
            f"| {task} {dims.upper()} | {row['accuracy']:.1%} | {row['chance']:.1%} "
            f"| {row['steps']} | {row['cpu_minutes']:g} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    before, rest = README.read_text().split(START)
    after = rest[rest.index(END) :]
    new = before + START + table() + after
    if "--check" in sys.argv:
        raise SystemExit(new != README.read_text())
    README.write_text(new)


if __name__ == "__main__":
    main()
