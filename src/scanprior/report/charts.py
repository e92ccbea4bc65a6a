"""The figures of a study: label efficiency, differences from scratch, convergence."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from scanprior.pictures import RUNS, new_figure
from scanprior.report.results import BASELINES, SLICES, Row, base

_MARKS = "osD^vP"


class Style(NamedTuple):
    colour: str
    line: str
    mark: str


def styles(starts: list[str]) -> dict[str, Style]:
    """Baselines in greys, others in colours, on slices the same dashed; more starts than colours
    differ by their marks."""
    others = list(dict.fromkeys(name for s in starts if (name := base(s)) not in BASELINES))
    known = {"scratch": Style("#000000", "-", "o"), "scratch-long": Style("#777777", ":", "s")}
    colours = RUNS[:5]
    for start in starts:
        name, line = base(start), "--" if start.endswith(SLICES) else "-"
        if name in BASELINES:
            known.setdefault(start, known[name]._replace(line=line))
        else:
            at = others.index(name)
            mark = _MARKS[at // len(colours) % len(_MARKS)]
            known[start] = Style(colours[at % len(colours)], line, mark)
    return known


def label_efficiency(scores: Sequence[Row], score: str, look: dict[str, Style]) -> Figure:
    """The paper's Figures 2 to 4: score by number of labels, bars the 95 % intervals."""
    figure = new_figure(8.6, 4.8)
    axes = figure.add_subplot()
    starts = [s for s in look if s in {row["start"] for row in scores}]
    labels = sorted({row["labels"] for row in scores})
    for i, start in enumerate(starts):
        rows = [row for row in scores if row["start"] == start]
        count, middle, low, high = (_column(rows, c) for c in ("labels", score, "low", "high"))
        # Lines a little apart, or their bars would hide each other.
        at = count * 1.02 ** (i - (len(starts) - 1) / 2)
        # A single case has no interval; rounding may put an end on the wrong side.
        bars = np.clip(np.nan_to_num(np.stack([middle - low, high - middle])), 0, None)
        colour, line, mark = look[start]
        axes.errorbar(
            at,
            middle,
            bars,
            color=colour,
            linestyle=line,
            marker=mark,
            ms=4,
            elinewidth=0.9,
            label=_text(start),
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(labels))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("labels")
    axes.set_ylabel(f"{score}, test")
    _clean(axes, "y")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def differences(table: Sequence[Row], score: str, look: dict[str, Style]) -> Figure:
    """Each start minus scratch with its 95 % interval, a panel a number of labels."""
    table = [row for row in table if not np.isnan(row["difference"])]
    labels = sorted({row["labels"] for row in table})
    starts = [s for s in look if s in {row["start"] for row in table}]
    figure = new_figure(1.6 + 2.2 * len(labels), 1.3 + 0.28 * len(starts))
    first: Axes | None = None
    for i, count in enumerate(labels):
        axes = figure.add_subplot(1, len(labels), i + 1, sharex=first, sharey=first)
        first = first or axes
        for row in (row for row in table if row["labels"] == count):
            colour, _, mark = look[row["start"]]
            at = starts.index(row["start"])
            axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1.6)
            axes.plot(row["difference"], at, color=colour, marker=mark, ms=5)
        axes.axvline(0, color="#000000", linewidth=0.9)
        axes.set_yticks(range(len(starts)), [_text(start) for start in starts])
        axes.tick_params(labelleft=i == 0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(f"{count} labels", loc="left", fontsize=10)
        _clean(axes, "x")
    if first is not None:
        first.invert_yaxis()
    figure.supxlabel(f"{score} minus scratch's", fontsize=10)
    return figure


def convergence(curves: Sequence[Row], score: str, look: dict[str, Style]) -> Figure:
    """The paper's Figures 5 and 6: validation score by step; dotted: where scratch ends."""
    labels = sorted({point["labels"] for point in curves})
    across = min(3, len(labels))
    down = -(-len(labels) // across)
    figure = new_figure(4.0 * across + 1.8, 3.2 * down)
    shown: dict[str, Line2D] = {}
    for i, count in enumerate(labels):
        axes = figure.add_subplot(down, across, i + 1)
        at = [point for point in curves if point["labels"] == count]
        for start in (s for s in look if s in {point["start"] for point in at}):
            line_of = [point for point in at if point["start"] == start]
            colour, line, mark = look[start]
            steps, middle = _column(line_of, "step"), _column(line_of, score)
            (shown[start],) = axes.plot(
                steps, middle, color=colour, linestyle=line, marker=mark, ms=3
            )
            if start == "scratch":
                axes.axhline(middle[-1], color="#000000", linestyle=":", linewidth=0.9)
        axes.set_title(f"{count} labels", loc="left", fontsize=10)
        axes.set_xlabel("fine-tuning step")
        axes.set_ylabel(f"{score}, validation")
        _clean(axes, "y")
    figure.legend(
        handles=list(shown.values()),
        labels=[_text(start) for start in shown],
        loc="outside right center",
        frameon=False,
    )
    return figure


def _column(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)


def _clean(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if grid == "x" else "y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def _text(name: str) -> str:
    """A name is no formula, even with dollars, and no hidden line, even with an underscore."""
    return " " * name.startswith("_") + name.replace("$", r"\$")
