"""Files that are whole or not there, whenever the process is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HALF = ".tmp."
"""How the name of a file begins that is being written, or was when its process was killed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write in place of ``path``, in the same folder, with the same ending.

    It becomes ``path`` when the block ends, and is removed where the block fails; ``path`` is then
    what it was. A process that is killed leaves it, as ``.tmp.PID.NAME``, for :func:`sweep`. The
    folder is made.
    An ``OSError`` names ``path``.
    """
    temporary = path.with_name(f"{HALF}{os.getpid()}.{path.name}")
    with naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            # also after success: a link renamed onto a link to the same file stays where it was
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written in ``folder``, which no other one writes now.

    Not in its subfolders: a study's runs are written by processes of their own.
    """
    for left in folder.glob(f"{HALF}*"):
        left.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Say of an ``OSError`` that it came with ``path``, where it does not say of what (a write to a
    full disk does not) or names a ``temporary`` file in its place."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.filename == str(temporary):
            error.filename = str(path)
        raise
