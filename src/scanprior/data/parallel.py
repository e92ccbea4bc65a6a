"""The same work on many items, in several processes that end with their parent."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver, get_context, parent_process
from os import _exit, environ
from threading import Thread
from typing import TypeVar

from scanprior.contracts import InputError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_SAFE = "PYTHONSAFEPATH"
_ENDED = (
    "a worker process ended before its work was done; if it printed an error above, mend that, "
    "else it was most likely killed for want of memory: start again with fewer --workers, and it "
    "continues."
)


def each(
    work: Callable[[Item], Answer], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Answer]]:
    """Each item and what ``work`` says of it, as they are done; a bounded number is under way.

    ``work`` must be importable, or a ``functools.partial`` of such a function. With one worker all
    is done in this process.

    Raises:
        InputError: a worker ended before its work was done.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    context = get_context("forkserver")  # safe beside threads; imports everything once
    context.set_forkserver_preload([getattr(work, "func", work).__module__])
    with apart_from_here():
        forkserver.ensure_running()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as pool:
        under_way: dict[Future[Answer], Item] = {}
        waiting = iter(items)
        while True:
            while len(under_way) < 3 * workers and (item := next(waiting, None)) is not None:
                under_way[pool.submit(work, item)] = item
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                try:
                    yield under_way.pop(future), future.result()
                except BrokenProcessPool as error:
                    raise InputError(_ENDED) from error


@contextmanager
def apart_from_here() -> Iterator[None]:
    """A Python process started inside imports nothing from the working folder: a ``nibabel.py``
    among somebody's scans would be run."""
    before = environ.get(_SAFE)
    environ[_SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            del environ[_SAFE]
        else:
            environ[_SAFE] = before


def _follow_parent() -> None:
    """End this worker when the run that started it is killed, instead of waiting for ever."""
    parent = parent_process()
    if parent is not None:
        ended = parent.sentinel

        def watch() -> None:
            connection.wait([ended])
            _exit(1)

        Thread(target=watch, daemon=True).start()
