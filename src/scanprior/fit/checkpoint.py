"""Checkpoints that survive a crash at any moment.

``checkpoints/step-<8 digits>-<16 hex digits of the content's sha256>.ckpt``. A checkpoint has its
name only once it is whole and on the disk; the hash in the name is checked before it is read.
"""

import hashlib
import io
import os
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import TorchCheckpointIO
from torch._weights_only_unpickler import (
    UnpicklingError,  # pyright: ignore[reportPrivateImportUsage]  # what torch.load refuses with; torch exports it nowhere
)
from torch.serialization import get_unsafe_globals_in_checkpoint

from scanprior.console import say
from scanprior.contracts import InputError, Learner
from scanprior.whole import naming

NAME = re.compile(r"step-(\d{8})-([0-9a-f]{16})\.ckpt")
KEPT = 2
_UNLIKE = (KeyError, RuntimeError, TypeError, ValueError)
"""What torch raises for the tensors of something else."""


class Beside(TorchCheckpointIO):
    """Writes where it is told to; Fabric's own goes by way of the system's folder for temporary
    files, which may be small, and where a killed process leaves gigabytes."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # straight to a file, a full disk is no OSError
        Path(path).write_bytes(buffer.getbuffer())


def save(fabric: Fabric, out: Path, state: dict[str, Any]) -> None:
    """Write ``state``, of which ``step`` is the number of steps done. Called by every process."""
    folder = out / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "writing"
    try:
        with naming(temporary):
            fabric.save(temporary, state)
            if fabric.is_global_zero:
                _sync(temporary)
    except OSError:
        temporary.unlink(missing_ok=True)  # half a file, on a disk that is full
        raise
    if fabric.is_global_zero:
        path = folder / f"step-{state['step']:08d}-{_digest(temporary)}.ckpt"
        os.replace(temporary, path)
        _sync(folder)
        _prune(folder, path)
    fabric.barrier()


def load(fabric: Fabric, path: Path, state: dict[str, Any], *, must_be: Set[str]) -> None:
    """Fill ``state`` in place.

    Raises :class:`InputError` where the checkpoint is another run's: its weights do not fit, or
    one of the values named in ``must_be`` is not what ``state`` has.
    """
    expected = {name: state[name] for name in must_be}
    try:
        fabric.load(path, state, weights_only=True)
    except _UNLIKE as error:
        raise InputError(
            f"{path} does not fit this encoder, task and optimizer; give the changed run a folder "
            "of its own."
        ) from error
    for name, value in sorted(expected.items()):
        if state[name] != value:
            raise InputError(
                f"{path} was written with {name} {state[name]}, not {value}; give the changed run "
                "a folder of its own."
            )


def restore(path: Path, learner: Learner) -> None:
    """Give ``learner`` the weights of a finished run's checkpoint, and finish what a kill after it
    was written cut off; :class:`InputError` where the weights do not fit."""
    try:
        learner.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["learner"])
    except _UNLIKE as error:
        raise InputError(
            f"{path} does not fit this encoder and task; give the changed run a folder of its own."
        ) from error
    _prune(path.parent, path)


def find(out: Path) -> Path | None:
    """The newest undamaged checkpoint of the run in ``out``; the damaged ones are told.

    Raises :class:`InputError` where it is a file of something else, or holds more than tensors,
    numbers and words. (Its objects would be refused anyway, not run: it is loaded weights only.)
    """
    left = _all(out / "checkpoints")
    while left:
        path = left.pop()
        if path.name == f"step-{step_of(path):08d}-{_digest(path)}.ckpt":
            _check_plain(path)
            return path
        then = "using the one before" if left else "none is left, so training begins at step 0"
        say(f"{path} is damaged (its content does not match its name); {then}.")
    return None


def _check_plain(path: Path) -> None:
    try:
        strange = ", ".join(get_unsafe_globals_in_checkpoint(path))
    except (RuntimeError, ValueError, EOFError, AssertionError, UnpicklingError) as error:
        strange = str(error) or "it ends too early"
    if strange:
        raise InputError(
            f"{path} is no checkpoint of scanprior's ({strange}); delete it, or give another "
            "folder."
        )


def newest(out: Path) -> dict[str, Any] | None:
    """What the newest undamaged checkpoint of the run in ``out`` holds, on the CPU.

    ``learner`` and ``optimizer`` are state dicts, whatever the strategy; ``step`` is the number of
    steps done. None where there is no checkpoint.
    """
    path = find(out)
    return None if path is None else torch.load(path, map_location="cpu", weights_only=True)


def step_of(path: Path) -> int:
    """The number of steps done when this checkpoint was written."""
    return int(path.name.split("-")[1])


def _all(folder: Path) -> list[Path]:
    """Every checkpoint, oldest step first; of the same step, the one written last comes last."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if NAME.fullmatch(path.name)]
    return sorted(paths, key=lambda path: (step_of(path), path.stat().st_mtime_ns))


def _prune(folder: Path, latest: Path) -> None:
    """Keep the last two. What claims a later step than ``latest`` was damaged and passed over."""
    before = [p for p in _all(folder) if step_of(p) < step_of(latest)][-(KEPT - 1) :]
    for path in _all(folder):
        if path != latest and path not in before:
            path.unlink(missing_ok=True)  # several processes may restore at once


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
