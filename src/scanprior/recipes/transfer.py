"""What a start would give an encoder, tensor by tensor, without training it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.table import Table

from scanprior import transfer
from scanprior.console import console
from scanprior.nn import encoders
from scanprior.transfer import COVERAGE, Channels, Report


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """List what a start gives to an encoder: loaded, adapted, left out. Nothing is trained."""

    run: Path
    """Folder of a pretext or a fine-tuning run, or one of its .safetensors files."""
    channels_to: int | None = None
    """Channels of the images to come; by default the start's."""
    channels: Channels = "repeat"
    """Where the numbers of channels differ. repeat: the start's input weights in turn, rescaled
    (the paper's way); average: their mean; anew: random."""
    encoder: str | None = None
    """The encoder to load into; by default the start's."""
    widths: tuple[int, ...] | None = None
    """Channels of each level; by default the start's."""
    spatial_dims: Literal[2, 3] | None = None
    """By default the start's."""
    coverage: float = COVERAGE
    """Share of the encoder's parameters, 0 to 1, below which the start is refused."""


def run_transfer(recipe: Transfer) -> dict[str, Any]:
    """Print the table on stderr; return ``start``, ``coverage`` and how many tensors of each fate.

    Raises:
        InputError: the run has no encoder, or, after the table, too little of it fits or
            ``coverage`` is no share.
    """
    about = transfer.about_start(recipe.run)
    widths = recipe.widths
    if widths is None and recipe.encoder in (None, about["encoder"]):
        widths = tuple(about["widths"]) if about["widths"] else None
    encoder = encoders.build(
        recipe.encoder or about["encoder"],
        recipe.spatial_dims or about["spatial_dims"],
        about["in_channels"] if recipe.channels_to is None else recipe.channels_to,
        widths,
    )
    report = transfer.compare(recipe.run, encoder, recipe.channels)
    console().print(_table(report))
    transfer.load_start(
        recipe.run, encoder, channels=recipe.channels, coverage=recipe.coverage
    )  # says in a line what was loaded, or refuses
    outcomes = [fate.outcome for fate in report.fates]
    return {
        "start": str(report.start),
        "coverage": round(report.coverage, 4),
        "loaded": outcomes.count("loaded"),
        "adapted": outcomes.count("adapted"),
        "left_out": outcomes.count("left out"),
    }


def _table(report: Report) -> Table:
    table = Table("tensor", "in the encoder", "in the start", "", box=box.SIMPLE_HEAD)
    style = {"loaded": "", "adapted": "yellow", "left out": "red"}
    for name, shape, found, outcome in report.fates:
        cells = ["x".join(map(str, s)) if s else "-" for s in (shape, found)]
        table.add_row(name, *cells, outcome, style=style[outcome])
    return table
