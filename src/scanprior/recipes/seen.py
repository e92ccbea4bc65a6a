"""What a run was trained on, of what it is to be tested on."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from scanprior import transfer
from scanprior.contracts import InputError
from scanprior.data.kept import wrong
from scanprior.data.store import Store, Volume
from scanprior.saved import read_json


def seen(run: Path, store: Store, test: Collection[str]) -> set[str]:
    """Those of ``test``, volumes of ``store``, whose images ``run`` was trained on, or a run that
    it started from.

    By their ids where a run's data are the store's, else by their bytes, where the run's store
    still lies where its recipe says. What cannot be known so is not found.

    Raises :class:`InputError` where a ``cases.json`` is damaged.
    """
    had: set[str] = set()
    for one in _line(run):
        had |= _seen(one, store, test)
    return had


def flattered(name: str, count: int) -> str:
    """What is said of a run, or of a start, that :func:`seen` finds ``count`` test cases of."""
    return f"{name} was trained on the images of {count} of the test cases: its scores flatter it"


def _line(run: Path) -> Iterator[Path]:
    """The run, and those that it started from, each from the next."""
    passed: set[Path] = set()
    while run.is_dir() and run.resolve() not in passed:
        passed.add(run.resolve())
        yield run
        start = _recipe(run).get("start")
        run = Path(start) if isinstance(start, str) else Path()


def _seen(run: Path, store: Store, test: Collection[str]) -> set[str]:
    """Of this run alone."""
    path = run / "cases.json"
    if not path.is_file():
        return set()
    kept = read_json(path)
    if (said := wrong({"train": list[str]}, kept)) is not None:
        raise InputError(f"{path} is damaged ({said}); restore it, or leave the file out.")
    try:
        data = transfer.about_start(run).get("data")
        if data == store.digest:
            return set(kept["train"]) & set(test)
        theirs = Store(Path(str(_recipe(run).get("store"))))
    except InputError:  # a run without weights, a store that is no more
        return set()
    if theirs.digest != data:  # another one by now
        return set()
    trained = set(kept["train"])
    shown = {_bytes(volume) for volume in theirs if volume.id in trained} - {None}
    return {volume.id for volume in store.of(sorted(test)) if _bytes(volume) in shown}


def _bytes(volume: Volume) -> str | None:
    hashed = volume.record.get("sha256")  # several, where a file is a channel
    return None if hashed is None else str(hashed)


def _recipe(run: Path) -> dict[str, Any]:
    path = run / "recipe.json"
    told = read_json(path) if path.is_file() else {}
    return told if isinstance(told, dict) else {}
