"""The numbers of a run: metrics.jsonl, and TensorBoard events on request."""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from scanprior.contracts import InputError
from scanprior.fit.progress import Bar
from scanprior.fit.schedule import Training
from scanprior.whole import naming

NEW: dict[str, Any] = {"bytes": 0, "seconds": 0.0, "sums": {}, "count": 0}
"""The state of a log without rows."""
COLLAPSED, PATIENCE = 0.01, 3
"""An embedding whose spread is below this for so many rows in a row has collapsed."""


class Log:
    """The rows of one run. Every process adds its numbers; the first one writes their mean.

    ``state`` goes into the checkpoint, so that a resumed run cuts the log back to what the
    checkpoint knows and continues the mean that was being taken.
    """

    def __init__(
        self,
        fabric: Fabric,
        out: Path,
        training: Training,
        bar: Bar,
        state: dict[str, Any],
        *,
        first_step: int,
    ):
        self.fabric, self.bar = fabric, bar
        self.sums: dict[str, float] = dict(state["sums"])
        self.count: int = state["count"]
        self.before: float = state["seconds"]
        self.started = time.monotonic()
        self.file = self.events = None
        self.last: dict[str, Any] = {}
        self.thin = 0
        if not fabric.is_global_zero:
            return
        path = out / "metrics.jsonl"
        path.touch()
        os.truncate(path, min(state["bytes"], path.stat().st_size))
        for row in rows(out):
            self._remember(row)
        if training.tensorboard:
            self.events = _events(out, purge_step=first_step + 1)
        self.file = path.open("a", encoding="utf-8")

    def add(self, numbers: Mapping[str, float]) -> None:
        """The numbers of one step of this process."""
        self.count += 1
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + number

    def write(self, step: int, **exact: float) -> None:
        """A row with the mean, over steps and processes, of what was added since the last one."""
        numbers = {name: total / self.count for name, total in self._share().items()}
        self.sums, self.count = {}, 0
        row = {"step": step, "loss": numbers.pop("loss"), **exact, **numbers}
        first = list(numbers)[:1]
        self._put(row)
        self.bar.show(step, {name: row[name] for name in ["loss", *first]})

    def write_validation(self, step: int, numbers: Mapping[str, float]) -> None:
        """A row of its own, every name with ``validation_`` before it."""
        row = {f"validation_{name}": float(number) for name, number in numbers.items()}
        self._put({"step": step, **row})
        self.bar.show(step, row)

    def state(self) -> dict[str, Any]:
        """For the checkpoint; the rows so far are on the disk when this returns."""
        size = 0
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            size = self.file.tell()
        self.sums = self._share()
        return {"bytes": size, "seconds": self._seconds(), "sums": self.sums, "count": self.count}

    def close(self) -> None:
        for file in (self.file, self.events):
            if file is not None:
                file.close()

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def _share(self) -> dict[str, float]:
        """The sums, as their mean over the processes."""
        if self.fabric.world_size == 1 or not self.sums:
            return self.sums
        sums = torch.tensor(
            list(self.sums.values()), dtype=torch.float64, device=self.fabric.device
        )
        mean = self.fabric.all_reduce(sums, reduce_op="mean")
        return dict(zip(self.sums, mean.tolist(), strict=True))  # pyright: ignore[reportAttributeAccessIssue]

    def _put(self, numbers: dict[str, Any]) -> None:
        if self.file is None:
            return
        # JSON knows neither NaN nor infinity
        row = {n: v if math.isfinite(v) else None for n, v in numbers.items()}
        row["seconds"] = round(self._seconds(), 3)
        if self._remember(row):
            row["collapsed"] = True
            if self.thin == PATIENCE:
                self.bar.warn(
                    f"Step {row['step']}: the embedding has collapsed (spread below {COLLAPSED} "
                    f"for {PATIENCE} rows): the encoder says nearly the same of every view; lower "
                    "the learning rate or enlarge the batch."
                )
        with naming(Path(self.file.name)):
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
        for name, number in row.items():
            if self.events is not None and name != "step" and number is not None:
                self.events.add_scalar(name, number, row["step"])

    def _remember(self, row: dict[str, Any]) -> bool:
        """Note a row; whether the embedding has collapsed by now."""
        self.last |= row
        if row.get("spread") is not None:
            self.thin = self.thin + 1 if row["spread"] < COLLAPSED else 0
        return "spread" in row and self.thin >= PATIENCE


def rows(out: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl; none where it has not begun.

    Raises :class:`InputError` where it is damaged.
    """
    path = out / "metrics.jsonl"
    if not path.exists():
        return []
    try:
        found = [json.loads(line) for line in path.read_text().splitlines()]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); remove that line of it.") from error
    for row in found:
        plain = isinstance(row, dict) and isinstance(row.get("step"), int)
        if not plain or not all(v is None or isinstance(v, int | float) for v in row.values()):
            raise InputError(f"{path} is damaged (a row that is no list of numbers); remove it.")
    return found


def last(out: Path) -> dict[str, Any]:
    """The latest value of everything a run has logged."""
    return {name: value for row in rows(out) for name, value in row.items()}


def _events(out: Path, *, purge_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed; pip install 'scanprior[tensorboard]' or leave "
            "tensorboard off."
        ) from error
    return SummaryWriter(str(out / "tensorboard"), purge_step=purge_step)
