"""Pictures of cases and views, without pyplot, and how every figure here is made and saved."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scanprior.contracts import InputError
from scanprior.whole import replacing

RUNS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee", "#bbbbbb")
"""A colour a run (Paul Tol's bright scheme: told apart by colour-blind eyes too)."""
CLASSES = ("#ffb000", "#00c2d1", "#ff5da2", "#8fd14f", "#b39bff", "#ff7f50")
"""A colour a label value, bright enough to lie on grey."""
_PLANES = ("axial", "coronal", "sagittal")
_TILES = 8


def plain(name: str) -> str:
    """``name`` as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name)


def save(figure: Figure, path: Path) -> None:
    """Write the PNG whole or not at all."""
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own: pyplot, which keeps figures globally, is never imported."""
    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def overlay_figure(overlay: Mapping[str, Any]) -> Figure:
    """A row a prediction, a column a plane; planes cross in the middle of the label."""
    image, label = overlay["image"], overlay["label"]
    predictions: Mapping[str, np.ndarray] = overlay["predictions"]
    for name, array in {"the label": label, **predictions}.items():
        if array.shape != image.shape:
            raise InputError(
                f"{name} of {overlay['case']} has shape {array.shape}, its image {image.shape}; "
                "give both on one grid."
            )
    spacing = overlay.get("spacing", (1.0,) * len(image.shape))
    where = _middle(label)
    planes = _planes(len(image.shape))
    values = sorted({int(v) for a in (label, *predictions.values()) for v in np.unique(a)} - {0})
    colours = {value: CLASSES[i % len(CLASSES)] for i, value in enumerate(values)}
    low, high = np.percentile(image, (1, 99))
    image = (image - low) / max(high - low, 1e-12)  # one window for all planes
    ratios = [_extent(image.shape, spacing, axis) for axis in planes]
    widths = [width / height for width, height in ratios]
    rows = max(1, len(predictions))
    figure = new_figure(2.9 * sum(widths) + 0.6, 2.9 * rows + 0.6)
    grid = figure.add_gridspec(rows, len(planes), width_ratios=widths)
    for r, (name, found) in enumerate(predictions.items() or [("label", np.zeros_like(label))]):
        for c, axis in enumerate(planes):
            axes = figure.add_subplot(grid[r, c])
            sections = [_section(a, axis, where) for a in (image, label, found)]
            down, across = _left(spacing, axis)
            _draw(axes, sections, colours, down / across, up=axis is not None)
            if r == 0 and axis is not None:
                axes.set_title(_PLANES[axis], fontsize=10)
            if c == 0:
                axes.set_ylabel(name, fontsize=11)
    marks = [Line2D([], [], color=k, linewidth=3, label=f"class {v}") for v, k in colours.items()]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    return figure


def _draw(
    axes: Axes, sections: list[np.ndarray], colours: Mapping[int, str], aspect: float, up: bool
) -> None:
    """Image in grey, label filled, prediction as a line; ``up``: index 0 is at the bottom."""
    image, label, found = sections
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=aspect)
    for value, colour in colours.items():
        for mask, fill in ((label == value, True), (found == value, False)):
            if not mask.any():
                continue
            # A border of background closes the lines of what touches the edge.
            closed = np.pad(mask, 1).astype(float)
            rows, columns = (np.arange(-1, n + 1) for n in mask.shape)
            if fill:
                axes.contourf(columns, rows, closed, [0.5, 2], colors=[colour], alpha=0.4)
            else:
                axes.contour(columns, rows, closed, [0.5], colors=[colour], linewidths=1.6)
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(-0.5, image.shape[0] - 0.5)
    if not up:
        axes.invert_yaxis()
    _bare(axes)


def views_figure(tiles: np.ndarray) -> Figure:
    """A column a tile, up to eight; a volume's three middle planes one below the other."""
    tiles = np.asarray(tiles, dtype=np.float32)[:_TILES]
    planes = _planes(len(tiles.shape) - 1)
    figure = new_figure(1.3 * len(tiles) + 0.4, 1.35 * len(planes) + 0.1)
    where = [side // 2 for side in tiles.shape[1:]]
    for c, tile in enumerate(tiles):
        low, high = np.percentile(tile, (1, 99))
        for r, axis in enumerate(planes):
            axes = figure.add_subplot(len(planes), len(tiles), 1 + r * len(tiles) + c)
            section = _section(tile, axis, where)
            origin = "upper" if axis is None else "lower"
            axes.imshow(section, cmap="gray", vmin=low, vmax=high, origin=origin)
            _bare(axes)
    return figure


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _planes(dims: int) -> list[int | None]:
    """The axes to cut across; None leaves a picture as it is."""
    return [0, 1, 2] if dims > 2 else [None]


def _section(array: np.ndarray, axis: int | None, where: Sequence[int]) -> np.ndarray:
    return array if axis is None else np.take(array, where[axis], axis)


def _left(sizes: Sequence[Any], axis: int | None) -> list[Any]:
    return [size for i, size in enumerate(sizes) if i != axis]


def _extent(
    shape: Sequence[int], spacing: Sequence[float], axis: int | None
) -> tuple[float, float]:
    """Width and height of a section in mm."""
    down, across = _left([n * s for n, s in zip(shape, spacing, strict=True)], axis)
    return across, down


def _middle(label: np.ndarray) -> list[int]:
    """A voxel of the label near its centre, or the image's middle."""
    inside = np.argwhere(label > 0)
    if not len(inside):
        return [side // 2 for side in label.shape]
    nearest = np.linalg.norm(inside - inside.mean(0), axis=1).argmin()
    return inside[nearest].tolist()
