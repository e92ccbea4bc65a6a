"""What a person who waits is told, on standard error; results go to standard output."""

from collections.abc import Iterable
from typing import TypeVar

from lightning_fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def console() -> Console:
    """Standard error, as wide as it is now."""
    return Console(stderr=True)


@rank_zero_only
def say(sentence: str) -> None:
    """One line, from the first process only."""
    console().print(sentence, soft_wrap=True, markup=False, highlight=False)


def counted(items: Iterable[Item], doing: str, total: int | None = None) -> Iterable[Item]:
    """``items``, with a bar that goes away again; ``total`` of them where they have no length."""
    return track(items, doing, total=total, console=console(), transient=True)
