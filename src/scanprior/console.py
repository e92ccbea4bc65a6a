"""What a person who waits is told, on standard error; results go to standard output."""

from collections.abc import Iterable
from typing import Any, TypeVar

from lightning_fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.progress import track
from rich.text import Text

Item = TypeVar("Item")


def plain(text: str) -> str:
    """``text`` on one line, with what a terminal would obey, or cannot show, as an escape.

    Sentences name files, and whoever made a file chose its name.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class PlainConsole(Console):
    """A console on which no text, be it a line or a cell of a table, can move the cursor."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str("\n".join(map(plain, text.split("\n"))), **how)


def console() -> Console:
    """Standard error, as wide as it is now."""
    return PlainConsole(stderr=True)


@rank_zero_only
def say(sentence: str) -> None:
    """One line, from the first process only."""
    console().print(plain(sentence), soft_wrap=True, markup=False, highlight=False)


def counted(items: Iterable[Item], doing: str, total: int | None = None) -> Iterable[Item]:
    """``items``, with a bar that goes away again; ``total`` of them where they have no length."""
    return track(items, doing, total=total, console=console(), transient=True)
