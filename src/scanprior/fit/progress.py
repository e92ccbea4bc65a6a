"""What a person sees of a training, on standard error."""

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from scanprior.console import console, say

QUIET_SECONDS = 10.0
"""Between lines where standard error is not a terminal."""


class Bar:
    """A progress bar with time left; without a terminal, a line now and then. A run that was cut
    off says where it goes on."""

    def __init__(self, *, first_step: int, steps: int, visible: bool):
        self.first_step, self.steps, self.visible = first_step, steps, visible
        self.console = console()
        self.note, self.printed, self.drawn = "", time.monotonic(), 0.0
        # No thread that redraws: loader workers are forked, and must not inherit its locks.
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=False,
            disable=not (visible and self.console.is_terminal),
        )
        self.task = self.progress.add_task("", total=steps, completed=first_step, note="")

    def __enter__(self) -> "Bar":
        if self.visible and self.first_step:
            say(f"continues after step {self.first_step} of {self.steps}")
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def advance(self, done: int) -> None:
        """``done`` steps are done."""
        refresh = (now := time.monotonic()) - self.drawn > 0.1 or done == self.steps
        self.progress.update(self.task, completed=done, note=self.note, refresh=refresh)
        self.drawn = now if refresh else self.drawn

    def show(self, done: int, numbers: dict[str, float]) -> None:
        """The latest numbers, the first of them the loss."""
        self.note = "  ".join(f"{name} {number:.4g}" for name, number in numbers.items())
        if not self.visible or self.console.is_terminal:
            return
        if (now := time.monotonic()) - self.printed > QUIET_SECONDS or done == self.steps:
            say(f"step {done} of {self.steps}  {self.note}")
            self.printed = now

    def warn(self, sentence: str) -> None:
        """A line that stays above the bar."""
        if self.visible:
            self.progress.console.print(
                sentence, soft_wrap=True, style="yellow", markup=False, highlight=False
            )
