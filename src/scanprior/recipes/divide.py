"""How the labelled volumes of a store are divided, once for all runs, and which a run is given."""

from collections.abc import Sequence
from pathlib import Path

from scanprior.alone import holding
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume


def divide(
    store: Store,
    known: Sequence[Volume],
    given: Path | None = None,
    validation: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
) -> Split:
    """The split that is ``given``, else the store's own, else a new one, which :func:`keep` keeps.

    ``known`` are the volumes with the label to learn from; relatives among them are found through
    all volumes of ``store``.
    """
    path = given or _own(store.folder)
    if given is not None or path.is_file():
        return Split.load(path)
    return Split.make(known, validation, test, seed, through=store)


def keep(split: Split, store: Path) -> None:
    """Write the split of the folder ``store``, unless it has one: whoever is first divides it.

    Raises :class:`InputError` where another run came first since ``split`` was made, and divided
    the store differently.
    """
    path = _own(store)
    if not path.is_file():
        with holding(store):
            if not path.is_file():
                split.save(path)
    if Split.load(path) != split:
        raise InputError(
            f"another run has just divided {store} differently; give the same command again, "
            f"which then takes {path}."
        )


def chosen(split: Split, labels: int | float | None) -> tuple[str, ...]:
    """The volumes to train on; a whole number is a count (1.0 is one volume, not all of them)."""
    if labels is None:
        return split.train
    return split.first(int(labels) if labels >= 1 and labels == int(labels) else labels)


def volumes_of(ids: Sequence[str], known: Sequence[Volume], store: Store) -> list[Volume]:
    """The volumes of a split, which need not have been made for these labels.

    Raises :class:`InputError` where the store lacks one, or it is not ``known``: has no label.
    """
    labelled = {volume.id for volume in known}
    found = store.of(ids)
    for volume in found:
        if volume.id not in labelled:
            raise InputError(
                f"{volume.id} in {store.folder} lacks the label that this task needs; delete "
                f"{_own(store.folder)}, or give another split."
            )
    return found


def _own(store: Path) -> Path:
    return store / "split.json"
