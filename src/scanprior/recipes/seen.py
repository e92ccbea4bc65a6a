"""What a run was trained on, of what it is to be tested on."""

from collections.abc import Collection
from pathlib import Path

from scanprior import transfer
from scanprior.contracts import InputError
from scanprior.data.kept import wrong
from scanprior.data.split import relatives
from scanprior.data.store import INDEX, Store
from scanprior.saved import read_json


def seen(run: Path, store: Store, test: Collection[str]) -> set[str]:
    """Those of ``test``, volumes of ``store``, whose images the training of ``run`` had.

    In another store than the run's they are found by patient and by bytes, where the run's still
    lies where its recipe says. Nothing is known, and nothing found, of a run without a
    ``cases.json``.

    Raises :class:`InputError` where that file is damaged.
    """
    path = run / "cases.json"
    if not path.is_file():
        return set()
    kept = read_json(path)
    if (said := wrong({"train": list[str]}, kept)) is not None:
        raise InputError(f"{path} is damaged ({said}); restore it, or leave the file out.")
    trained = set(kept["train"])
    if transfer.about_start(run).get("data") == store.digest:
        return trained & set(test)
    theirs = _store(run)
    if theirs is None:
        return set()
    both = [*store, *(volume for volume in theirs if volume.id in trained)]
    return relatives(both, trained) & set(test)


def _store(run: Path) -> Store | None:
    """The run's, where it is still there."""
    recipe = run / "recipe.json"
    told = read_json(recipe) if recipe.is_file() else {}
    folder = Path(told.get("store", "")) if isinstance(told, dict) else Path()
    return Store(folder) if (folder / INDEX).is_file() else None
