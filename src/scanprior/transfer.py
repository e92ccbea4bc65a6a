"""Load a start's encoder into a new one, and say tensor by tensor what became of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from scanprior.console import say
from scanprior.contracts import Encoder, InputError
from scanprior.data.kept import wrong
from scanprior.nn import encoders
from scanprior.saved import load_weights

Channels = Literal["repeat", "average", "anew"]
"""How an encoder of m channels begins on n of them:

repeat: input weights in turn, divided so that m equal images give the same activations as n (the
paper's way); average: every new channel gets the mean of the old ones, times m / n; anew: random.
"""
COVERAGE = 0.9
"""Share of an encoder's parameters below which a start is refused."""

_ABOUT = {
    "encoder": str,
    "widths": tuple[int, ...] | None,
    "spatial_dims": Literal[2, 3],
    "in_channels": int,
}
_FILES = ("encoder.safetensors", "best.safetensors", "last.safetensors")
_PREFIX = "encoder."


class Fate(NamedTuple):
    """What became of one tensor, of the encoder or of the file."""

    name: str
    shape: tuple[int, ...] | None
    """In the encoder; None where only the file has it."""
    found: tuple[int, ...] | None
    """In the file; None where only the encoder has it."""
    outcome: Literal["loaded", "adapted", "left out"]


@dataclass(frozen=True)
class Report:
    """What :func:`load_start` did."""

    start: Path
    """The file that was read."""
    fates: tuple[Fate, ...]
    coverage: float
    """Share of the encoder's parameters (single numbers, not tensors) loaded or adapted, 0 to 1."""

    def __str__(self) -> str:
        count = Counter(fate.outcome for fate in self.fates)
        return (
            f"{self.start}: {count['loaded']} tensors loaded, {count['adapted']} adapted, "
            f"{count['left out']} left out; {100 * self.coverage:.1f} % of the encoder's parameters"
        )


def build(about: dict[str, Any]) -> Encoder:
    """The encoder that a description belongs to, with new weights."""
    widths = about["widths"]
    return encoders.build(
        about["encoder"],
        about["spatial_dims"],
        about["in_channels"],
        tuple(widths) if widths else None,
    )


def file_of(run: Path) -> Path:
    """The file that ``run`` is taken from as a start: its encoder, else its best or last model.

    ``run`` is the folder of a pretext or a fine-tuning run, or one of its ``.safetensors`` files.

    Raises:
        InputError: there is none.
    """
    paths = [run] if run.suffix == ".safetensors" else [run / name for name in _FILES]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise InputError(
            f"{paths[0]} does not exist; give the folder of a finished pretext or fine-tuning run."
        )
    return path


def about_start(run: Path) -> dict[str, Any]:
    """What the file of a start says of itself: ``encoder``, ``widths``, ``spatial_dims``, ..."""
    return _read(run)[2]


def load_start(
    run: Path,
    encoder: Encoder,
    *,
    channels: Channels = "repeat",
    coverage: float = COVERAGE,
) -> Report:
    """Load the encoder of ``run`` into ``encoder``, in place, and print what was loaded in a line.

    Any run is a start: of a fine-tuning run the encoder's part is taken. Tensors of the same name
    and shape are loaded; input layers for another number of channels are adapted; the rest stays
    as it is.

    Raises:
        InputError: ``coverage`` is no share, the run has no encoder, or less than ``coverage`` of
            the parameters fit; then nothing was loaded.
    """
    if not 0 <= coverage <= 1:
        raise InputError(f"coverage {coverage} is no share; use a number from 0 to 1.")
    report, state, about = _matched(run, encoder, channels)
    if report.coverage < coverage:
        raise InputError(_refusal(report, about, coverage))
    assert isinstance(encoder, nn.Module)
    encoder.load_state_dict(state, strict=False)
    say(f"start {report}")
    return report


def compare(run: Path, encoder: Encoder, channels: Channels = "repeat") -> Report:
    """The report that :func:`load_start` would give, whatever the coverage; nothing is loaded."""
    return _matched(run, encoder, channels)[0]


def adapted(weight: Tensor, n: int, channels: Literal["repeat", "average"]) -> Tensor:
    """Input weights ``(out, m, *k)`` for ``n`` channels, ``(out, n, *k)``.

    With ``average``, and with ``repeat`` where n >= m, the sum over the input channels, and with it
    the answer to an image whose channels are all the same, is what it was. Repeating 4 channels to
    2 keeps the first two times 4 / 2, whose sum is of that size only.
    """
    m = weight.shape[1]
    if channels == "average":
        mean = weight.mean(1, keepdim=True) * m / n
        return mean.repeat_interleave(n, 1)
    source = torch.arange(n) % m
    times = torch.bincount(source, minlength=m)[source] * min(m, n) / m
    return weight[:, source] / times.to(weight).reshape(n, *(1 for _ in weight.shape[2:]))


def _read(run: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]]:
    """The file of a start, its encoder's tensors, and what it says of itself."""
    path = file_of(run)
    state, about = load_weights(path)
    check_about(path, state, about)
    if path.name != _FILES[0] and any(name.startswith(_PREFIX) for name in state):
        state = {n.removeprefix(_PREFIX): t for n, t in state.items() if n.startswith(_PREFIX)}
    return path, state, about


def check_about(path: Path, state: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Raise :class:`InputError` where a file does not say which encoder it holds, or names one that
    there is not, or of sizes that none of its tensors has: a few bytes could otherwise ask for all
    memory there is."""
    missing = _ABOUT.keys() - about.keys()
    if missing:
        raise InputError(
            f"{path} does not say its encoder's {sorted(missing)[0]}; give a run of scanprior's."
        )
    if (said := wrong(_ABOUT, about)) is not None:
        raise InputError(f"{path} is damaged ({said}); copy it again or rerun.")
    if about["encoder"] not in encoders.names() and "." not in about["encoder"]:
        raise InputError(
            f"{path} says that its encoder is {about['encoder'][:80]!r}, which there is not; copy "
            "it again or rerun."
        )
    sizes = {size for tensor in state.values() for size in tensor.shape}
    lacking = {about["in_channels"], *(about["widths"] or ())} - sizes
    if lacking and about["encoder"] in encoders.names():
        raise InputError(
            f"{path} says that its encoder has {min(lacking)} channels, which none of its tensors "
            "has; copy it again or rerun."
        )


def _matched(
    run: Path, encoder: Encoder, channels: Channels
) -> tuple[Report, dict[str, Tensor], dict[str, Any]]:
    path, found, about = _read(run)
    assert isinstance(encoder, nn.Module)
    wanted = encoder.state_dict()
    parameters = dict(encoder.named_parameters())
    m, n = about["in_channels"], encoder.in_channels
    # Only where the levels are as wide is a tensor with m instead of n inputs an input layer.
    ours = build(about).channels if about["spatial_dims"] == encoder.spatial_dims else ()
    same_levels = bool(ours) and all(a == b for a, b in zip(ours, encoder.channels, strict=False))
    state: dict[str, Tensor] = {}
    fates = []
    for name in [*wanted, *sorted(found.keys() - wanted.keys())]:
        here, there = _shape(wanted, name), _shape(found, name)
        outcome: Literal["loaded", "adapted", "left out"] = "left out"
        if here is not None and here == there:
            state[name], outcome = found[name], "loaded"
        elif here and there and same_levels and channels != "anew" and _input(here, there, m, n):
            state[name], outcome = adapted(found[name], n, channels), "adapted"
        fates.append(Fate(name, here, there, outcome))
    taken = sum(p.numel() for name, p in parameters.items() if name in state)
    total = sum(p.numel() for p in parameters.values())
    return Report(path, tuple(fates), taken / total), state, about


def _shape(state: dict[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None


def _input(here: tuple[int, ...], there: tuple[int, ...], m: int, n: int) -> bool:
    """Whether two shapes ``(out, in, *k)`` are of one layer, for n and for m channels."""
    return len(here) > 1 and (there[1], here[1]) == (m, n) and m != n and (
        (there[0], *there[2:]) == (here[0], *here[2:])
    )  # fmt: skip


def _refusal(report: Report, about: dict[str, Any], coverage: float) -> str:
    wrong = [fate for fate in report.fates if fate.outcome == "left out"]
    name, here, there, _ = wrong[0]
    widths = f" --widths {' '.join(map(str, about['widths']))}" if about["widths"] else ""
    return (
        f"{report.start} does not fit this encoder: {100 * report.coverage:.1f} % of its parameters"
        f" could be loaded, {100 * coverage:g} % are needed; {len(wrong)} tensors are left out, "
        f"the first is {name} ({there or 'missing'} in the file, "
        f"{here or 'missing'} in the encoder); "
        f"use --encoder {about['encoder']}{widths} --spatial-dims {about['spatial_dims']}."
    )
