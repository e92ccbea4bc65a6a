"""Who is tested, who draws the curve, and in which order each seed takes the labelled volumes."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.split import Split, relatives
from scanprior.data.store import Store, Volume
from scanprior.study.plan import Study


class Parts(NamedTuple):
    """Ids of the labelled volumes by purpose; no patient is in two of them."""

    pool: tuple[str, ...]
    """Those that training may take labels from."""
    validation: tuple[str, ...]
    test: tuple[str, ...]


def parts(store: Store, study: Study) -> list[Parts]:
    """The parts of each of the study's folds in turn, or those of its one test set: of the given
    split, or new ones, a pure function of the store, the counts and the seed.

    Raises :class:`InputError` where too few volumes are labelled, or a given split has a patient in
    two parts.
    """
    if study.split:
        splits = [_given(store, study.split)]
    else:
        splits = _folded(store, study) if study.folds else [_made(store, study)]
    if not all(split.test and split.train for split in splits):
        raise InputError(
            "the split leaves no volume to test on, or none to train on; make another."
        )
    return [Parts(split.train, split.validation, split.test) for split in splits]


def _given(store: Store, path: Path) -> Split:
    split = Split.load(path)
    store.of(split.train + split.validation + split.test)
    for ids, others in (
        (split.test, split.train + split.validation),
        (split.validation, split.train),
    ):
        if shared := relatives(store, ids) & set(others):
            raise InputError(
                f"{path}: {min(shared)} is of the same patient as a volume held out, or a copy of "
                "one, perhaps through other scans of the store; give both the same part."
            )
    return split


def _made(store: Store, study: Study) -> Split:
    labelled = _labelled(store)
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
        store, validation=validation / drawn, test=test / drawn, seed=study.split_seed
    )


def _folded(store: Store, study: Study) -> list[Split]:
    rest = len(_labelled(store)) * (1 - 1 / study.folds)
    if study.validation > rest / 2:
        raise InputError(
            f"{store.folder} has about {rest:.0f} labelled volumes beside each of {study.folds} "
            f"folds, too few for {study.validation} to validate on; give --validation "
            f"{math.floor(rest / 2)} at most."
        )
    return Split.folds(store, study.folds, study.validation / max(1.0, rest), study.split_seed)


def _labelled(store: Store) -> list[Volume]:
    return [v for v in store if v.labelled or v.grade is not None]


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
