"""One command in a process of its own, with a limit on time and on memory."""

import os
import pkgutil
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import scanprior
from scanprior import cli

SECONDS = 30
"""Of a processor; a command that waits, and takes none, has ``_PATIENCE`` times as long."""
_PATIENCE = 20
MEMORY = 4 << 30
"""Bytes that a command may hold (resident, at its highest)."""
_ADDRESSES = 12 << 30
"""Bytes beyond which the system refuses memory, so that nothing else on the machine suffers."""
_UNFORESEEN = 70
"""The exit code of a command that ended in a traceback."""


class Told(NamedTuple):
    """What a command did."""

    code: int
    """Its exit code; negative, the signal that ended it."""
    out: str
    err: str
    peak: int
    """Bytes."""

    @property
    def failure(self) -> str | None:
        """The word for what no input may do; None where it did not."""
        if self.code in (-signal.SIGALRM, -signal.SIGXCPU):
            return "hang"
        if self.peak > MEMORY or "MemoryError" in self.err + self.out:
            return "memory"
        if self.code < 0:
            return "crash"
        if self.code == _UNFORESEEN or "Traceback" in self.err:
            return "traceback"
        return "warning" if "Warning: " in self.err else None


def command(words: list[str], folder: Path, seconds: int = SECONDS) -> Told:
    """Run ``scanprior`` with these words in ``folder``."""
    return apart(lambda: cli.main(words), folder, seconds)


def apart(work: Callable[[], object], folder: Path, seconds: int = SECONDS) -> Told:
    """Run ``work`` in a forked process; what it imports, which takes seconds, is there already."""
    _import_all()
    out, err = folder / ".stdout", folder / ".stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        _inside(work, folder, out, err, seconds)
    _, status, used = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    said = [path.read_text(errors="replace") if path.is_file() else "" for path in (out, err)]
    return Told(code, *said, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


@cache
def _import_all() -> None:
    for module in pkgutil.walk_packages(scanprior.__path__, "scanprior."):
        if module.name != "scanprior.__main__":
            import_module(module.name)


def _inside(work: Callable[[], object], folder: Path, out: Path, err: Path, seconds: int) -> None:
    code = _UNFORESEEN
    try:
        os.chdir(folder)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # whatever it is: it is what is looked for
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
