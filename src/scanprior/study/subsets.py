"""Who is tested, who draws the curve, and in which order each seed takes the labelled volumes."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.split import relatives as related
from scanprior.data.store import Store, Volume
from scanprior.study.plan import Study


class Parts(NamedTuple):
    """Ids of the labelled volumes by purpose; no patient is in two of them."""

    pool: tuple[str, ...]
    """Those that training may take labels from."""
    validation: tuple[str, ...]
    test: tuple[str, ...]


def parts(store: Store, study: Study, fold: int = 0) -> Parts:
    """The given split's parts, or new ones: a pure function of the store, the counts and the seed.

    ``fold`` says which part of ``study.folds`` is tested, where there are any.

    Raises :class:`InputError` where too few volumes are labelled, or a patient is in two parts.
    """
    if study.split:
        split = Split.load(study.split)
    else:
        split = _folded(store, study, fold) if study.folds else _made(store, study)
    found = Parts(split.train, split.validation, split.test)
    for ids in found:
        store.of(ids)
    if not found.test or not found.pool:
        raise InputError(
            "the split leaves no volume to test on, or none to train on; make another."
        )
    for one, others in (
        (found.test, found.pool + found.validation),
        (found.validation, found.pool),
    ):
        shared = relatives(store, store, one) & set(others)
        if shared:
            raise InputError(
                f"{min(shared)} is of the same patient as a volume held out; correct the split."
            )
    return found


def _made(store: Store, study: Study) -> Split:
    labelled = [v for v in store if v.labelled or v.grade is not None]
    given = {v.record["partition"] for v in labelled}
    drawn = sum(v.record["partition"] not in ("test", "val") for v in labelled)
    test = 0 if "test" in given else study.test
    validation = 0 if "val" in given else study.validation
    if test + validation >= drawn:
        raise InputError(
            f"{store.folder} has {drawn} labelled volumes, too few for {test} test and "
            f"{validation} validation volumes and one to train on; use a lower "
            "--test or --validation."
        )
    return Split.make(
        labelled, validation=validation / drawn, test=test / drawn, seed=study.split_seed
    )


def _folded(store: Store, study: Study, fold: int) -> Split:
    labelled = [v for v in store if v.labelled or v.grade is not None]
    share = study.validation / max(1.0, len(labelled) * (1 - 1 / study.folds))
    return Split.folds(labelled, study.folds, share, study.split_seed)[fold]


def relatives(store: Iterable[Volume], others: Iterable[Volume], ids: Collection[str]) -> set[str]:
    """Ids in ``others`` of ``ids`` of ``store``, and of whatever shares a patient or bytes."""
    return related([*store, *others], ids) & {volume.id for volume in others}


def order(store: Store, pool: Sequence[str], split_seed: int, seed: int) -> tuple[str, ...]:
    """The pool in the order in which ``seed`` takes it; a patient's volumes follow each other."""
    # Which part of the source a volume was in no longer matters: all of these may be trained on.
    volumes = [
        dataclasses.replace(volume, record=volume.record | {"partition": "train"})
        for volume in store.of(sorted(pool))
    ]
    drawn = int(np.random.SeedSequence((split_seed, seed)).generate_state(1)[0])
    return Split.make(volumes, validation=0.0, test=0.0, seed=drawn).train


def count(labels: int | str, pool: int) -> int:
    """How many volumes ``labels`` are: a number, or a share of the pool such as 25%.

    Raises :class:`InputError` where there are fewer, or where it is neither.
    """
    text = str(labels)
    try:
        number = round(float(text[:-1]) / 100 * pool) if text.endswith("%") else int(text)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{labels!r} labels: give a number (10) or a share (25%).") from error
    if text.endswith("%") and float(text[:-1]) > 0:
        number = max(1, number)
    if not 1 <= number <= pool:
        raise InputError(f"{labels} labels cannot be taken from {pool}; use 1 to {pool}, or 100%.")
    return number
