"""What the name of a start means."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scanprior import pretext, transfer
from scanprior.contracts import InputError, Task
from scanprior.fit import Training

SLICES = "-2d"
"""At the end of a start's name: on slices of 3D volumes."""


class Start(NamedTuple):
    """A start, read from its name."""

    name: str
    """As in results.csv."""
    kind: Literal["scratch", "scratch-long", "pretext", "supervised", "run"]
    dims: Literal[2, 3]
    """Of the encoder: 2 or 3."""
    what: str = ""
    """The pretext task, or the run's folder."""


def parse(text: str, store_dims: int) -> Start:
    """The start that ``text`` names.

    Raises :class:`InputError` for an unknown one, for slices of photographs, and where a run's
    folder is none.
    """
    if told := run_of(text):
        name, path = told
        dims = transfer.about_start(path)["spatial_dims"]
        return Start(name[:-1] or text, "run", 2 if dims == 2 else 3, str(path.resolve()))
    name = text.removesuffix(SLICES)
    if name != text and store_dims < 3:
        raise InputError(f"start {text} cuts slices, but the store's images have no depth; leave "
                         f"{SLICES} out.")  # fmt: skip
    dims = 3 if name == text and store_dims == 3 else 2
    match name:
        case "scratch" | "scratch-long" | "supervised":
            return Start(text, name, dims)
        case _ if name in pretext.names() or "." in name:
            pretext.find(name)
            return Start(text, "pretext", dims, name)
    raise InputError(
        f"there is no start {text!r}; use scratch, scratch-long, supervised, run:FOLDER or one of "
        f"{', '.join(pretext.names())}, with {SLICES} after it for slices."
    )


def run_of(text: str) -> tuple[str, Path] | None:
    """``NAME=`` (or nothing) and the folder of a start ``NAME=run:FOLDER``; None of another."""
    name, sign, path = text.partition("run:")
    return (name, Path(path)) if sign and (not name or name.endswith("=")) else None


def changes(overrides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Start to field to value, from texts like ``cpc.steps=2000``."""
    found: dict[str, dict[str, Any]] = {}
    for text in overrides:
        place, sign, value = text.partition("=")
        start, dot, name = place.rpartition(".")
        if not sign or not dot:
            raise InputError(f"override {text!r} is not START.FIELD=VALUE, as cpc.steps=2000 is.")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        found.setdefault(start, {})[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return found


def apply(
    start: str, told: Mapping[str, Any], training: Training, task: Task | None
) -> tuple[Training, Task | None, tuple[int, ...] | None]:
    """Training, pretext task and crop with the fields ``told`` for this start.

    Raises :class:`InputError` where a field is in none of them, or its value is of another type.
    """
    crop: tuple[int, ...] | None = None
    for name, value in told.items():
        if name == "crop":
            if not isinstance(value, tuple) or not all(isinstance(n, int) for n in value):
                raise InputError(f"override {start}.crop={value} is no crop; use [32,32,32].")
            crop = value
        elif hasattr(training, name):
            training = _changed(start, training, name, value)
        elif task is not None and hasattr(task, name):
            task = _changed(start, task, name, value)
        else:
            raise InputError(f"override {start}.{name}: neither the training nor the task has it.")
    return training, task, crop


def _changed(start: str, owner: Any, name: str, value: Any) -> Any:
    now = getattr(owner, name)
    if isinstance(now, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if now is not None and type(value) is not type(now):
        raise InputError(
            f"override {start}.{name}={value} must be a {type(now).__name__}, as {now} is."
        )
    return dataclasses.replace(owner, **{name: value})
