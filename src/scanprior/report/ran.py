"""What was run: the ``study.json`` that a study leaves beside its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from scanprior.contracts import InputError
from scanprior.saved import read_json

STORE = "pretraining_store"
"""Its name, which is said where there are several."""
COLUMNS = (
    "start",
    "spatial_dims",
    STORE,
    *(f"pretraining_{name}" for name in ("steps", "batch_size", "lr", "crop")),
    *(f"finetuning_{name}" for name in ("steps", "batch_size", "lr", "crop")),
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a study was to do, and with what."""

    starts: tuple[str, ...]
    labels: tuple[int, ...]
    seeds: tuple[int, ...]
    classes: dict[str, str]
    """Label value to name, where known."""
    sentences: tuple[str, ...]
    """What was run, for a person."""
    table: tuple[dict[str, Any], ...]
    """A row a start, with :data:`COLUMNS`: its pretraining and fine-tuning."""
    seen: dict[str, int]
    """Start to the number of test cases that its run was trained on, at most; where it is not 0."""

    @property
    def planned(self) -> set[tuple[str, int, int]]:
        """Start, labels and seed of every cell."""
        return {(s, n, seed) for s in self.starts for n in self.labels for seed in self.seeds}


def read_ran(path: Path) -> Ran | None:
    """What ``study.json`` says; None where there is none, or one of an older scanprior.

    Raises:
        InputError: it is damaged.
    """
    if not path.is_file():
        return None
    told = read_json(path)
    if not isinstance(told, dict) or "ran" not in told:
        return None
    try:
        return _ran(told["ran"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}); run the study again, which "
            "repeats nothing that is done, or remove the file."
        ) from error


def _ran(told: dict[str, Any]) -> Ran:
    names = {str(value): str(name) for value, name in told["classes"].items()}
    if len(set(names.values())) < len(names):
        names = {}  # two columns of one name would be one
    shown = COLUMNS if len(told["stores"]) > 1 else [c for c in COLUMNS if c != STORE]
    return Ran(
        starts=tuple(str(row["start"]) for row in told["starts"]),
        labels=tuple(map(int, told["labels"])),
        seeds=tuple(map(int, told["seeds"])),
        classes=names,
        sentences=tuple(_sentences(told, names)),
        seen={row["start"]: row["seen"] for row in told["starts"] if row.get("seen")},
        table=tuple({column: row.get(column) for column in shown} for row in told["starts"]),
    )


def _sentences(told: dict[str, Any], names: dict[str, str]) -> list[str]:
    widths = [f"{dims} {_joined(c, '-')}" for dims, c in told["encoder"]["channels"].items()]
    levels = f"; channels of its levels: {'; '.join(widths)}" if widths else ""
    said = [
        f"scanprior {_joined(told['scanprior']) or 'of unknown version'}, on "
        f"{_joined(told['devices'], '; ') or 'an unknown device'}.",
        f"Encoder {told['encoder']['name']}{levels}.",
    ]
    said += [_store(store) for store in told["stores"]]
    if names:
        listed = _joined(f"{value} {name}" for value, name in names.items())
        said.append(f"Label values: {listed}.")
    said.append(
        f"Fine-tuned for {told['task']} with {_joined(told['labels'])} labels and the seeds "
        f"{_joined(told['seeds'])}; {_span(told['validation'])} validation and "
        f"{_span(told['test'])} test cases"
        + (f" in each of {told['folds']} folds, a seed a fold." if told["folds"] else ".")
    )
    said += [
        f"One pretraining for {one_for}: {_joined(start for start, _ in starts)}."
        for one_for, starts in groupby(_pretrainings(told), key=lambda pair: pair[1])
    ]
    return said


def _pretrainings(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Start and what it has one pretraining for, those for the same together."""
    if "pretrainings" in told:
        return sorted(told["pretrainings"].items(), key=lambda pair: pair[1])
    # an older scanprior, which told of a study's pretrainings as a whole
    one_for = "each seed" if told["pretrain_each_seed"] else "all seeds"
    one_for = "each fold" if told["folds"] else one_for
    starts = [row["start"] for row in told["starts"] if row.get("pretraining_steps")]
    return [(str(start), one_for) for start in starts]


def _store(told: dict[str, Any]) -> str:
    source = f", of {told['source']}" if told["source"] else ""
    channels = "channel" if told["channels"] == 1 else "channels"
    spacing = " x ".join(f"{size:.4g}" for size in told["spacing"])
    return (
        f"Store {told['name']}{source}: {told['volumes']} volumes of {told['channels']} "
        f"{channels}, median spacing {spacing} {told['unit']}, hash of the data "
        f"{told['data'][:12]}."
    )


def _joined(items: Any, sign: str = ", ") -> str:
    return sign.join(map(str, items))


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
