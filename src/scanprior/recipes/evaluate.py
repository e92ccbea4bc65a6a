"""Evaluation: predicted label maps or grades against the reference, with intervals."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from scanprior.console import console, counted, say
from scanprior.contracts import InputError
from scanprior.data.files import (
    PHOTOGRAPH,
    VOLUME,
    files_in,
    read_label,
    stem,
)
from scanprior.data.grids import on_grid_of
from scanprior.data.image import Image
from scanprior.metrics.intervals import bootstrap_interval
from scanprior.metrics.segmentation import (
    REGIONS,
    Groups,
    case_scores,
    check_tolerance,
    groups,
)
from scanprior.recipes.begin import check_numbers
from scanprior.recipes.grades import (
    print_scores,
    read_table,
    summary,
    true_grades,
    write_scores,
    write_table,
)

METRICS = ("dice", "hd95", "nsd")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score predicted label maps (Dice, HD95 and NSD per case and class), or predicted grades
    (quadratic weighted kappa, accuracy, AUC)."""

    predictions: Path
    """Folder of predicted label maps, named like the labels; or predictions.csv of grades."""
    labels: Path
    """Folder of reference label maps; or a store or CSV of grades. Those without a prediction are
    left out and counted."""
    out: Path
    """CSV to write: case, class, dice, hd95 (mm; pixels in photographs), nsd; or metric, value,
    low, high."""
    regions: Literal["none", "brats"] = "none"
    """none: every label value by itself; brats: enhancing tumour, tumour core, whole tumour."""
    tolerance: float = 1.0
    """Distance in mm (pixels in photographs) within which the NSD counts a surface as found."""
    seed: int = 0
    """Of the bootstrap."""


def run_evaluate(recipe: Evaluate) -> dict[str, Any]:
    """Run the recipe; leaves the CSV and prints a table on stderr.

    Returns, for grades, what :func:`evaluate_grades` does. For label maps ``dice_mean`` (over
    foreground classes and cases), ``dice_per_class``, ``hd95_per_class``, ``nsd_per_class`` (class
    to mean over cases), ``intervals`` (the same four names, ``[low, high]`` of 95 %), ``cases``,
    ``labels_ignored`` (labels without a prediction), ``predictions_ignored`` (predictions without
    a label), ``values_ignored`` (predicted values that no label has, scored as background) and
    ``out``.

    Raises:
        InputError: nothing to score, different grids.
    """
    check_tolerance(recipe.tolerance)
    check_numbers(seed=recipe.seed)
    if recipe.out.is_dir():
        raise InputError(f"{recipe.out} is a folder; name a CSV file to write.")
    if recipe.predictions.suffix == ".csv":
        return evaluate_grades(recipe)
    if (recipe.predictions / "predictions.csv").is_file():  # what predict leaves for grades
        return evaluate_grades(replace(recipe, predictions=recipe.predictions / "predictions.csv"))
    found, labels = _named(recipe.predictions), _named(recipe.labels)
    predictions = {case: path for case, path in found.items() if case in labels}
    if not predictions:
        raise InputError(
            f"no prediction in {recipe.predictions} has a label of its name in {recipe.labels} "
            f"(the first is {next(iter(found.values())).name}); give the folder that has them."
        )
    if left := len(found) - len(predictions):
        say(f"{left} predictions have no label of their name in {recipe.labels} and are left out.")
    structures = _structures(recipe, [labels[case] for case in predictions])
    rows: list[dict[str, Any]] = []
    strange: set[int] = set()
    known = {value for values in structures.values() for value in values} | {0}
    flat = True
    for case, path in counted(predictions.items(), "scoring", len(predictions)):
        label, prediction = read_label(labels[case]), read_label(path)
        prediction = on_grid_of(label, labels[case], prediction, path)
        flat = flat and label.affine is None
        strange |= _values(prediction) - known
        scores = case_scores(
            prediction.array[0], label.array[0], structures, label.spacing, recipe.tolerance
        )
        rows += [{"case": case, "class": name} | s._asdict() for name, s in scores.items()]
    table = pd.DataFrame(rows, columns=["case", "class", *METRICS])
    write_table(table, recipe.out)
    result = _summary(table, list(structures), recipe.seed) | {
        "cases": len(predictions),
        "labels_ignored": len(set(labels) - set(predictions)),
        "predictions_ignored": left,
        "values_ignored": sorted(strange),
        "out": str(recipe.out),
    }
    _print(result, recipe.tolerance, "pixels" if flat else "mm")
    return result


def evaluate_grades(recipe: Evaluate) -> dict[str, Any]:
    """Score a table of predicted grades.

    Returns ``kappa``, ``accuracy``, ``auc`` (NaN where undefined: see ``metrics.grading``),
    ``intervals`` (the same names, ``[low, high]`` of 95 %), ``cases``, ``labels_ignored`` and
    ``out``.

    Raises:
        InputError: a file that is no such table, a case without a true grade.
    """
    table, truth = read_table(recipe.predictions), true_grades(recipe.labels)
    for case in table["case"]:
        if case not in truth:
            raise InputError(
                f"{recipe.predictions} predicts {case}, which has no grade in {recipe.labels}; "
                "add it or remove the row."
            )
    table = table.assign(truth=[truth[case] for case in table["case"]])
    result, found = summary(table, recipe.seed)
    write_scores(found, recipe.out)
    print_scores(found, len(table))
    return result | {"labels_ignored": len(truth) - len(table), "out": str(recipe.out)}


def _named(folder: Path) -> dict[str, Path]:
    """Case to file."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that holds the label maps.")
    found: dict[str, Path] = {}
    for path in files_in(folder, VOLUME + PHOTOGRAPH, deep=False):
        if stem(path) in found:
            raise InputError(f"{path} and {found[stem(path)]} are the same case; remove one.")
        found[stem(path)] = path
    if not found:
        raise InputError(f"{folder} holds no label maps; give a folder of NIfTI, NRRD or MHA.")
    return found


def _structures(recipe: Evaluate, labels: list[Path]) -> Groups:
    """What is scored. Reading the labels once more than needed keeps memory at one case."""
    values: dict[int, Path] = {}
    for path in labels:
        values = dict.fromkeys(_values(read_label(path)), path) | values
    present = sorted(set(values) - {0})
    if not present:
        raise InputError(f"{recipe.labels} holds background only; give labels to score against.")
    if recipe.regions == "none":
        return groups(present)
    regions = REGIONS[recipe.regions]
    for value in present:
        if all(value not in group for group in regions.values()):
            raise InputError(
                f"{values[value]} holds the label {value}, which no region of {recipe.regions} "
                "knows; rename it or use --regions none."
            )
    return regions


def _values(label: Image) -> set[int]:
    return {int(value) for value in np.unique(label.array)}


def _summary(table: pd.DataFrame, names: list[str], seed: int) -> dict[str, Any]:
    """Means over cases and their intervals; cases are resampled, never classes of a case."""
    per_case = np.array(table.groupby("case")["dice"].mean(), dtype=float)
    result: dict[str, Any] = {"dice_mean": float(per_case.mean())}
    intervals: dict[str, Any] = {"dice_mean": list(bootstrap_interval(per_case, seed))}
    for metric in METRICS:
        by_class = {
            name: np.array(table[metric][table["class"] == name], dtype=float) for name in names
        }
        result[f"{metric}_per_class"] = {n: float(v.mean()) for n, v in by_class.items()}
        intervals[f"{metric}_per_class"] = {
            name: list(bootstrap_interval(v, seed)) for name, v in by_class.items()
        }
    return result | {"intervals": intervals}


def _print(result: dict[str, Any], tolerance: float, unit: str) -> None:
    heads = ("class", "Dice", f"HD95 ({unit})", f"NSD ({tolerance:g} {unit})")
    table = Table(*heads, box=box.SIMPLE_HEAD)
    between = result["intervals"]
    for name in result["dice_per_class"]:
        cells = [
            _cell(result[f"{m}_per_class"][name], between[f"{m}_per_class"][name], digits)
            for m, digits in zip(METRICS, (3, 2, 3), strict=True)
        ]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("mean", _cell(result["dice_mean"], between["dice_mean"], 3), "", "")
    table.caption = f"{result['cases']} cases; in brackets 95 % bootstrap intervals of the mean"
    console().print(table)
    if result["labels_ignored"]:
        say(f"Labels without a prediction, left out: {result['labels_ignored']}")
    if result["values_ignored"]:
        say(f"Predicted but in no label, taken as background: {result['values_ignored']}")


def _cell(mean: float, interval: list[float], digits: int) -> str:
    low, high = interval
    return f"{mean:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
