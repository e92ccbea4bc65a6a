"""The demo's report folder: ``report.md`` with a table, and the figures it shows, as PNG."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scanprior.contracts import InputError
from scanprior.pictures import (
    RUNS,
    new_figure,
    overlay_figure,
    plain,
    save,
    views_figure,
)
from scanprior.report.page import Block, Grid, Heading, Picture, Text, markdown, write


def write_report(
    folder: Path,
    *,
    title: str,
    table: Sequence[Mapping[str, Any]],
    curves: Mapping[str, Path],
    overlays: Sequence[Mapping[str, Any]],
    views: Mapping[str, np.ndarray],
    note: str = "",
) -> None:
    """Write ``folder/report.md`` and its figures; a part that is empty is left out.

    Args:
        table: rows, all with the first one's keys.
        curves: a run's name to its ``metrics.jsonl``.
        overlays: ``case`` (its name), ``image (*s)``, ``label (*s)`` and ``predictions`` (name to
            label map ``(*s)``); axes (superior, anterior, right) or (height, width). ``spacing``
            (mm per array axis) may be given.
        views: a pretext task's name to what it showed the encoder, ``(tiles, *s)``.
        note: the last paragraph.

    Raises:
        InputError: a ``metrics.jsonl`` cannot be read, or a label map does not fit its image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks: list[Block] = []
    if table:
        rows = [[str(row[head]) for head in table[0]] for row in table]
        blocks.append(Grid(list(table[0]), rows))
    if curves:
        save(_curves({name: _rows(path) for name, path in curves.items()}), folder / "curves.png")
        blocks += [
            Heading("Learning curves"),
            Picture("curves.png", "Loss and validation Dice by step"),
        ]
    for overlay in overlays:
        name = overlay["case"]
        file = f"case_{plain(name)}.png"
        save(overlay_figure(overlay), folder / file)
        blocks += [
            Heading(f"Case {name}"),
            Picture(file, f"Label and predictions of {name}"),
            Text("Filled: the label. Lines: the prediction. The views meet in the label's middle."),
        ]
    for name, tiles in views.items():
        file = f"views_{plain(name)}.png"
        save(views_figure(tiles), folder / file)
        blocks += [
            Heading(f"What {name} showed the encoder"),
            Picture(file, f"Views of {name}"),
            Text("A column a view; of a volume, the three planes through its middle."),
        ]
    if note:
        blocks.append(Text(note))
    write(folder / "report.md", markdown(title, blocks))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a run's metrics.jsonl.") from error


def _curves(runs: Mapping[str, list[dict[str, Any]]]) -> Figure:
    """Loss, and validation Dice, by step, a line a run."""
    panels = {"training loss": "loss", "validation Dice": "validation_dice"}
    shown = {
        heading: key
        for heading, key in panels.items()
        if any(row.get(key) is not None for rows in runs.values() for row in rows)
    } or panels  # runs without a row yet: empty axes
    figure = new_figure(4.6 * max(1, len(shown)), 3.4)
    for i, (heading, key) in enumerate(shown.items()):
        axes = figure.add_subplot(1, len(shown), i + 1)
        for k, (name, rows) in enumerate(runs.items()):
            # A loss that was not finite is null in the log, and a gap in the line.
            known = [row for row in rows if key in row]
            steps = [row["step"] for row in known]
            values = [math.nan if row[key] is None else row[key] for row in known]
            marker = "o" if len(known) < 25 else ""
            axes.plot(steps, values, color=RUNS[k % len(RUNS)], marker=marker, ms=4, label=name)
        axes.set_title(heading, loc="left", fontsize=11)
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        if i == 0:
            axes.legend(frameon=False)
    return figure
