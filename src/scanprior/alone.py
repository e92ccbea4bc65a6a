"""A folder that one process at a time writes, and that leads nowhere else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from lightning_fabric.utilities.rank_zero import rank_zero_only

from scanprior.console import say
from scanprior.contracts import InputError
from scanprior.whole import HALF, sweep

LOCK = ".lock"
"""The file that says, while it is locked, that its folder is being written."""
WAIT = 15.0
"""Seconds for which a second process waits: workers of a killed one hold its lock for some."""


@contextmanager
def alone(folder: Path, *, together: bool = False) -> Iterator[None]:
    """Keep other processes from writing ``folder`` until the block ends, or this process does.

    The folder is made, and what a killed process left half written there is removed. A process may
    hold a folder several times. Of processes that write it ``together``, the first one holds it.

    Raises:
        InputError: another process still writes it after :data:`WAIT` seconds, or a link in it
            leads out of it.
    """
    # a cluster numbers processes that have nothing to do with each other, too
    if together and getattr(rank_zero_only, "rank", 0):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    closed(folder)
    with holding(folder):
        sweep(folder)
        yield


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is there, and change nothing in it.

    Raises :class:`InputError` where another process holds it after :data:`WAIT` seconds.
    """
    mine = lock(folder)
    try:
        mine.acquire(timeout=0)
    except Timeout:
        say(f"{folder} is being written by another process; waiting up to {WAIT:g} s for its end.")
        try:
            mine.acquire(timeout=WAIT)
        except Timeout as error:
            raise InputError(
                f"{folder} is being written by another process; let it end, or choose another "
                "folder."
            ) from error
    try:
        yield
    finally:
        mine.release()


def used(folder: Path) -> bool:
    """Whether ``folder`` holds more than a lock and what a killed process left half written."""
    if not folder.is_dir():
        return False
    return any(p.name != LOCK and not p.name.startswith(HALF) for p in folder.iterdir())


def lock(folder: Path) -> FileLock:
    """The folder's lock, which the system opens when its holder ends, however that comes."""
    return FileLock(folder.resolve() / LOCK, is_singleton=True)


def closed(folder: Path) -> None:
    """Raise :class:`InputError` where a link in ``folder``, at any depth, leads out of it.

    Whoever made the folder could otherwise choose what a run overwrites.
    """
    top = folder.resolve()
    for place, folders, files in os.walk(top):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                raise InputError(
                    f"{folder / path.relative_to(top)} leads out of {folder}, which is to be "
                    "written; put what it leads to in its place, or choose another folder."
                )
