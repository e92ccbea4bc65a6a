"""Write the README's tables from the committed results. ``--check`` only compares."""

import csv
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


def accuracy(rows: dict[str, Any]) -> list[list[str]]:
    table = [["task", "accuracy", "chance", "steps", "CPU minutes"]]
    for name, row in sorted(rows.items()):
        task, dims = name.rsplit("_", 1)
        table.append(
            [
                f"{task} {dims.upper()}",
                f"{row['accuracy']:.1%}",
                f"{row['chance']:.1%}",
                f"{row['steps']}",
                f"{row['cpu_minutes']:g}",
            ]
        )
    return table


def speed(found: dict[str, Any]) -> list[list[str]]:
    table = [["what", "against", "ratio"]]
    (store,) = found["store"]["rows"]
    table.append(["a random crop from a store", "slicing .nii.gz", f"{store['ratio']:.0f}x faster"])
    for part in ("step_3d", "step_2d"):
        told = found[part]["recipe"]
        size = "x".join([str(told["size"])] * told["spatial_dims"])
        against = f"forward, backward of {told['encoder']}"
        for row in found[part]["rows"]:
            table.append([f"loading and views, {row['task']}, {size}", against, row["share"]])
    return table


def scratch(result: dict[str, Any]) -> list[list[str]]:
    curve = result["curve"]
    return [
        ["steps", *(str(point["step"]) for point in curve)],
        ["validation Dice", *(f"{point['dice']:.3f}" for point in curve)],
    ]


def demo(found: list[dict[str, Any]]) -> list[list[str]]:
    names = [row["start"] for row in found[0]["rows"]]
    rows = [["seed", *(f"{name}, Dice" for name in names), "paired difference over the cases"]]
    for one in found:
        low, high = one["interval"]
        told = f"{one['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append([str(one["seed"]), *(f"{row['Dice']:.4f}" for row in one["rows"]), told])
    means = [np.mean([one["rows"][i]["Dice"] for one in found]) for i in range(len(names))]
    gains = stats.ttest_1samp([one["difference"] for one in found], 0)
    low, high = gains.confidence_interval()
    told = f"{np.mean([one['difference'] for one in found]):+.4f} ({low:+.4f} to {high:+.4f})"
    rows.append(["mean", *(f"{mean:.4f}" for mean in means), told])
    return rows


def study(folder: Path, score: str) -> list[list[str]]:
    """Scratch's score, and each start's difference to it with its interval, by number of labels."""
    scores, differences = (_rows(folder / f"{name}.csv") for name in ("scores", "comparisons"))
    labels = list(dict.fromkeys(row["labels"] for row in scores))
    seeds = {row["labels"]: row["seeds"] for row in scores if row["start"] == "scratch"}
    of = "folds" if json.loads((folder / "study.json").read_text())["ran"]["folds"] else "seeds"
    table = [["start", *(f"{count} labels, {seeds[count]} {of}" for count in labels)]]
    scratch = {row["labels"]: float(row[score]) for row in scores if row["start"] == "scratch"}
    table.append(["scratch", *(f"{scratch[count]:.4f}" for count in labels)])
    differences = [row for row in differences if row["against"] == "scratch"]
    for start in dict.fromkeys(row["start"] for row in differences):
        found = {row["labels"]: row for row in differences if row["start"] == start}
        told = [_difference(found[n], seeds[n]) if n in found else "not run" for n in labels]
        table.append([start, *told])
    return table


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _difference(row: dict[str, str], usual: str) -> str:
    """With its interval, and how many seeds it is over where that is not the usual number."""
    difference, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    shown = f"{difference:+.4f} ({low:+.4f} to {high:+.4f})"
    if row["seeds"] != usual:
        shown += f", {row['seeds']} seed{'s' * (row['seeds'] != '1')}"
    return f"**{shown}**" if row["verdict"] == "better" else shown


def _of(make: Callable[[Any], list[list[str]]]) -> Callable[[Path], list[list[str]]]:
    return lambda path: make(json.loads(path.read_text()))


TABLES: dict[str, Callable[[Path], list[list[str]]]] = {
    "pretext_accuracy.json": _of(accuracy),
    "speed.json": _of(speed),
    "scratch_curve.json": _of(scratch),
    "demo.json": _of(demo),
    "hippocampus": partial(study, score="dice"),
    "idrid": partial(study, score="kappa"),
    "idrid-from-retinamnist": partial(study, score="kappa"),
    "idrid-224": partial(study, score="kappa"),
    "retinamnist": partial(study, score="kappa"),
    "retinamnist-from-idrid": partial(study, score="kappa"),
}


def written(text: str) -> str:
    """``text`` with every table between its two comments made anew."""
    for name, make in TABLES.items():
        rows = make(HERE / "results" / name)
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, f"| {' | '.join('---' for _ in rows[0])} |")
        start = f"benchmarks/results/{name} -->\n"
        before, rest = text.split(start)
        after = rest[rest.index("<!-- end -->") :]
        text = before + start + "\n".join(lines) + "\n" + after
    return text


def main() -> None:
    text = README.read_text()
    if "--check" in sys.argv:
        raise SystemExit(written(text) != text)
    README.write_text(written(text))


if __name__ == "__main__":
    main()
