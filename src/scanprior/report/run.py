"""``scanprior report``: what a study found, as Markdown, CSV, PNG and one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from scanprior.contracts import InputError
from scanprior.pictures import plain, save
from scanprior.report import charts, comparisons, tables, training, words
from scanprior.report.findings import findings
from scanprior.report.gaps import gaps
from scanprior.report.page import (
    Block,
    Grid,
    Heading,
    Picture,
    Points,
    Text,
    markdown,
    page,
    write,
)
from scanprior.report.reading import read_results
from scanprior.report.results import Results, Row

_FILES = (
    *(f"{name}.csv" for name in ("comparisons", "convergence", "costs", "labels_saved", "scores")),
    *(f"{name}.csv" for name in ("slices", "starts", "steps")),
    *(f"{name}.png" for name in ("convergence", "differences", "label_efficiency")),
)
"""Tables and figures, of which a report leaves out those that have nothing to show."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Tables, figures and tests of a study, from its results alone."""

    results: Path
    """A study's ``results.csv`` (or ``results.csv.gz``), or the folder that holds it (and
    ``cells.csv``, study.json)."""
    out: Path | None = None
    """Folder to write; by default ``report`` beside the results."""
    metric: str = "auto"
    """The score to study: dice, nsd or kappa; by default dice, or kappa for grades."""
    pictures: Path | None = None
    """A folder of PNGs to show at the end, by default ``pictures`` beside the results, where a
    study leaves some."""
    title: str = "Does pretraining save labels?"
    """Of the report."""
    seed: int = 0
    """Of bootstrap draws and permutations."""


def run_report(recipe: Report) -> dict[str, Any]:
    """Write the report of ``recipe.results``.

    Raises:
        InputError: there are no such results or pictures, or they cannot be read.
    """
    path = recipe.results
    if path.is_dir():
        unpacked, packed = path / "results.csv", path / "results.csv.gz"
        # a study writes the first; the other may be of an earlier day
        path = packed if packed.is_file() and not unpacked.is_file() else unpacked
    results = read_results(path, recipe.metric)
    beside = path.with_name("pictures")
    folder = recipe.pictures or (beside if any(beside.rglob("*.png")) else None)
    return study_report(
        results,
        recipe.out or path.with_name("report"),
        title=recipe.title,
        seed=recipe.seed,
        pictures=folder,
    )


def study_report(
    results: Results,
    out: Path,
    *,
    title: str,
    seed: int = 0,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """Write ``out``: ``report.md``, ``report.html``, a CSV a table and a PNG a figure.

    Args:
        pictures: a folder of PNGs, shown under their names.

    Raises:
        InputError: a picture is no PNG.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / "report.md").is_file():  # an earlier one, which may have tables that this one lacks
        for path in {out / name for name in _FILES} - {results.path}:
            path.unlink(missing_ok=True)
    scores = tables.score_table(results, seed)
    compared = comparisons.comparison_table(results, seed)
    slices = comparisons.slices_table(results, seed)
    saved = tables.labels_table(results, seed)
    curves = training.convergence_table(results)
    steps = training.steps_table(results)
    costs = training.cost_table(results)
    lacking = gaps(results, curves)
    look = charts.styles(
        list(dict.fromkeys([*results.starts, *(point["start"] for point in curves)]))
    )

    blocks: list[Block] = [Text(words.study(results))]
    blocks += [Heading("What it says"), Points(findings(compared, saved, steps))]
    blocks.append(Heading("What is missing"))
    blocks.append(Points(lacking) if lacking else Text("Nothing: every start has every cell."))
    blocks += [Heading("What was run"), *_ran(results, out)]
    if scores:
        save(charts.label_efficiency(scores, results.score, look), out / "label_efficiency.png")
        blocks += [
            Heading("Label efficiency"),
            Picture("label_efficiency.png", words.label_efficiency(results)),
            Heading("Final scores"),
            Text(words.final(results)),
            _grid(scores, "scores.csv", out),
        ]
    if compared:
        blocks.append(Heading("Against scratch"))
        against = [row for row in compared if row["against"] == compared[0]["against"]]
        if any(row["cases"] for row in against):
            save(charts.differences(against, results.score, look), out / "differences.png")
            blocks.append(Picture("differences.png", words.differences(against)))
        blocks += [_grid(compared, "comparisons.csv", out), Text(words.corrected(compared))]
    if slices:
        blocks += [Heading("Volumes and slices"), _grid(slices, "slices.csv", out)]
        blocks.append(Text(words.corrected(slices)))
    if compared or slices:
        blocks.append(Text(words.tests(results)))
    if saved:
        blocks += [Heading("Labels saved"), _grid(saved, "labels_saved.csv", out)]
        blocks.append(Text(words.LABELS))
    if curves:
        save(charts.convergence(curves, results.score, look), out / "convergence.png")
        write(out / "convergence.csv", pd.DataFrame(curves).to_csv(index=False))
        blocks += [Heading("Convergence"), Picture("convergence.png", words.CONVERGENCE)]
    if steps:
        blocks += [_grid(steps, "steps.csv", out), Text(words.STEPS)]
    if costs:
        blocks += [Heading("Costs"), Text(words.COSTS), _grid(costs, "costs.csv", out)]
    blocks += _pictures(out, pictures)
    write(out / "report.html", page(title, blocks, out))
    write(out / "report.md", markdown(title, blocks))
    return {
        "score": results.score,
        "comparisons": len(compared),
        "better": sum(row["verdict"] == "better" for row in compared),
        "worse": sum(row["verdict"] == "worse" for row in compared),
        "missing": len(lacking),
        "report": str(out / "report.html"),
    }


def _grid(table: Sequence[Row], file: str, out: Path) -> Grid:
    """A table with the first row's columns, and its unrounded numbers as ``file``."""
    write(out / file, pd.DataFrame(table).to_csv(index=False))
    columns = list(table[0])
    rows = [[words.cell(column, row[column]) for column in columns] for row in table]
    return Grid([words.head(column) for column in columns], rows, file)


def _ran(results: Results, out: Path) -> list[Block]:
    if results.ran is None:
        return [Text(words.UNKNOWN)]
    return [Points(results.ran.sentences), _grid(results.ran.table, "starts.csv", out)]


def _pictures(out: Path, pictures: Path | None) -> list[Block]:
    """Slices with overlays, and what each task showed the encoder, as a study draws them."""
    blocks: list[Block] = []
    for i, path in enumerate(_pngs(pictures)):
        file = f"picture_{i}_{plain(path.stem)}.png"
        (out / file).write_bytes(path.read_bytes())
        blocks.append(Picture(file, path.stem.replace("_", " ")))
    said = [Text(words.PICTURES)] if pictures and (pictures / "drawn").is_dir() else []
    return [Heading("Pictures"), *said, *blocks] if blocks else []


def _pngs(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    found = sorted(folder.rglob("*.png"))
    if not found:
        raise InputError(f"{folder} holds no PNG; give the folder of the study's pictures.")
    for path in found:
        try:
            with Pillow.open(path, formats=["PNG"]) as picture:
                picture.verify()
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise InputError(f"{path} is no PNG ({error}); remove it.") from error
    return found
