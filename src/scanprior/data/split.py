"""Who is trained on and who is not: patient-grouped, seeded, with nested label fractions."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.grouped import grouped
from scanprior.data.kept import parsed, wrong
from scanprior.data.store import Store, Volume
from scanprior.whole import replacing

_KEPT = {"train": list[str], "validation": list[str], "test": list[str], "seed": int}


@dataclass(frozen=True)
class Split:
    """Ids of the labelled volumes, by purpose. No patient is in two of them."""

    train: tuple[str, ...]
    """In the order in which :meth:`first` takes them."""
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int

    @classmethod
    def make(
        cls,
        volumes: Sequence[Volume],
        validation: float = 0.2,
        test: float = 0.0,
        seed: int = 0,
        *,
        through: Iterable[Volume] = (),
    ) -> "Split":
        """Split the volumes that have a label map or a grade.

        A patient's volumes stay together, and so do files that are equal byte for byte, whatever
        they are called, and what a third volume links in these ways: one of ``volumes``, labelled
        or not, or one of ``through``, which are not split. Where the source came with a validation
        or test part of its own, that part is kept and only a part that it lacks is drawn from the
        training volumes.

        Raises :class:`InputError` where nothing is left to train on, or nothing is labelled.
        """
        if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
            raise InputError(
                f"validation {validation} and test {test} leave nothing to train on; "
                "use fractions that sum to less than 1."
            )
        known = [v for v in volumes if v.labelled or v.grade is not None]
        if not known:
            raise InputError(
                "no volume has a label map or a grade, so there is nothing to split; "
                "prepare a source with labels."
            )
        parts: dict[str, list[str]] = {"test": [], "val": [], "train": []}
        groups = _groups(known, [*volumes, *through])
        given = {v.record["partition"] for v in known} & {"val", "test"}
        rest: list[list[Volume]] = []
        for group in groups:
            named = {v.record["partition"] for v in group}
            # A group that reaches into several parts goes, whole, where it cannot be trained on.
            own = next((part for part in ("test", "val") if part in named), None)
            if own is None:
                rest.append(group)
            else:
                parts[own] += [v.id for v in group]
        order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(rest))
        total = sum(map(len, rest))
        wanted = {
            "test": 0 if "test" in given else round(test * total),
            "val": 0 if "val" in given else round(validation * total),
        }
        if validation > 0 and "val" not in given and len(rest) > 1:
            wanted["val"] = max(1, wanted["val"])
        drawn = dict.fromkeys(wanted, 0)
        for group in (rest[i] for i in order):
            part = next((p for p, n in wanted.items() if drawn[p] + len(group) <= n), "train")
            if part != "train":
                drawn[part] += len(group)
            parts[part] += [v.id for v in group]
        if not parts["train"]:
            raise InputError("no labelled volume is left to train on; use smaller fractions.")
        return cls(tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]), seed)

    @classmethod
    def folds(
        cls,
        volumes: Sequence[Volume],
        n: int,
        validation: float = 0.2,
        seed: int = 0,
        *,
        through: Iterable[Volume] = (),
    ) -> "list[Split]":
        """``n`` splits for cross-validation: every labelled volume is in the test part of one.

        Grouped as in :meth:`make`, and stratified: every part has its share of each grade, as far
        as groups allow. ``validation`` is the share of a fold's other volumes, rounded so that it
        is one of a whole number of equal parts, that validates. Parts that the source came with
        are not kept.

        Raises :class:`InputError` where there are fewer groups than folds.
        """
        if n < 2:
            raise InputError(f"{n} folds are no cross-validation; use 2 or more.")
        if not 0 <= validation <= 0.5:
            raise InputError(f"validation {validation} is impossible; use 0 to 0.5 in folds.")
        known = [v for v in volumes if v.labelled or v.grade is not None]
        groups = _groups(known, [*volumes, *through])
        if len(groups) < n:
            raise InputError(
                f"{len(groups)} patients or different files cannot make {n} folds; use fewer."
            )
        parts = _stratified(groups, n, seed)
        splits = []
        for i, held in enumerate(parts):
            rest = [group for part in parts[:i] + parts[i + 1 :] for group in part]
            inner: list[list[list[Volume]]] = [[]]
            if validation:
                inner = _stratified(rest, min(round(1 / validation), len(rest)), seed + 1)
            train = [group for part in inner[1:] for group in part] if validation else rest
            if not train:
                raise InputError(
                    "no labelled volume is left to train on; use fewer for validation."
                )
            order = np.random.default_rng((seed, i)).permutation(len(train))
            splits.append(cls(_ids([train[k] for k in order]), _ids(inner[0]), _ids(held), seed))
        return splits

    def first(self, n: int | float) -> tuple[str, ...]:
        """The first ``n`` training volumes (a count from 1), or that fraction (up to 1.0) of them.

        Nested: what 10 returns begins with what 5 returns. Raises :class:`InputError` where there
        are fewer, or where ``n`` is neither.
        """
        have = len(self.train)
        if isinstance(n, float) and 0 < n <= 1:
            return self.train[: max(1, round(n * have))]
        if n < 1 or n != int(n):
            raise InputError(f"{n} labels cannot be taken; give a count from 1 or a fraction.")
        if n > have:
            raise InputError(f"{int(n)} labels were asked for, {have} are there; ask for fewer.")
        return self.train[: int(n)]

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read what :meth:`save` wrote."""
        try:
            kept = parsed(path, "delete it and split anew")
        except OSError as error:
            raise InputError(f"{path} is no split ({error}); delete it and split anew.") from error
        if (said := wrong(_KEPT, kept)) is not None:
            raise InputError(f"{path} is no split ({said}); delete it and split anew.")
        parts = (tuple(kept[name]) for name in ("train", "validation", "test"))
        return cls(*parts, seed=kept["seed"])


def relatives(volumes: Iterable[Volume], ids: Collection[str]) -> set[str]:
    """Ids among ``volumes`` (of one store or several) of ``ids``, and of whatever shares a patient
    or its bytes with them, directly or through others."""
    groups = grouped(list(volumes), lambda v: (("id", v.id), *_keys(v)))
    return {v.id for group in groups if any(v.id in ids for v in group) for v in group}


def unheld(store: Store, split: Path | None) -> list[Volume]:
    """What may be trained on without labels: all but what is tested on, and its relatives.

    Tested on are the test part that the source came with, and that of ``split`` or, where none is
    given, of the store's own ``split.json``, if it has one.

    Raises :class:`InputError` where ``split`` cannot be read, or nothing is left.
    """
    path = split or store.folder / "split.json"
    tested = {volume.id for volume in store if volume.record["partition"] == "test"}
    if split or path.is_file():
        tested |= set(Split.load(path).test)
    held = relatives(store, tested)
    left = [volume for volume in store if volume.id not in held]
    if not left:
        raise InputError(
            f"{store.folder} holds nothing but what is tested on, and other scans of the same "
            "patients; give another split, or --no-hold-out."
        )
    return left


def _groups(known: Iterable[Volume], every: Iterable[Volume]) -> list[list[Volume]]:
    """``known`` in groups that share a patient or their bytes, directly or through any of
    ``every``; in the order of their first ids, so that no other volume changes it."""
    mine = {volume.id: volume for volume in known}
    linking = {volume.id: volume for volume in every} | mine
    related = grouped([linking[i] for i in sorted(linking)], _keys)
    kept = ([volume for volume in group if volume.id in mine] for group in related)
    return sorted(filter(None, kept), key=lambda group: group[0].id)


def _keys(volume: Volume) -> list[tuple[str, str]]:
    hashed = volume.record.get("sha256")  # several, where a file is a channel
    return [("patient", volume.patient), *([] if hashed is None else [("bytes", str(hashed))])]


def _stratified(groups: list[list[Volume]], n: int, seed: int) -> list[list[list[Volume]]]:
    """``n`` parts of whole groups, alike in size and in grades.

    Large groups first and then a grade after the other, each goes where its grades are rarest,
    and among those parts to the smallest.
    """
    total = Counter(v.grade for group in groups for v in group)
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(groups)).tolist()
    order.sort(key=lambda k: (-len(groups[k]), str(groups[k][0].grade)))  # stable: ties stay random
    parts: list[list[list[Volume]]] = [[] for _ in range(n)]
    held: list[Counter[int | None]] = [Counter() for _ in range(n)]
    for group in (groups[k] for k in order):
        mine = Counter(v.grade for v in group)
        crowded = [sum(c * there[g] / total[g] for g, c in mine.items()) for there in held]
        best = min(range(n), key=lambda k: (crowded[k], held[k].total()))
        parts[best].append(group)
        held[best] += mine
    return parts


def _ids(groups: list[list[Volume]]) -> tuple[str, ...]:
    return tuple(volume.id for group in groups for volume in group)
