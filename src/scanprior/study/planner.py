"""From a study to its jobs: the recipe of each pretraining and cell."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from scanprior import pretext
from scanprior.contracts import InputError
from scanprior.data.split import Split, relatives
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.pretrain import Pretrain
from scanprior.recipes.seen import seen
from scanprior.study import sizes, starts, subsets
from scanprior.study.checks import check_settings
from scanprior.study.jobs import Job, Plan, Test
from scanprior.study.naming import named
from scanprior.study.plan import Study
from scanprior.study.starts import Start

_PRETRAINED = ("pretext", "supervised")
"""Kinds of start whose pretraining is the study's own."""


def plan(study: Study) -> Plan:
    """The plan of ``study``; only reads.

    Raises :class:`InputError` for whatever of it cannot be; whether its jobs can be run,
    :func:`scanprior.study.checks.check_jobs` tells.
    """
    return _Planner(study).plan()


class _Planner:
    def __init__(self, study: Study):
        self.study, self.out = study, study.out.resolve()
        self.stores: dict[Path, Store] = {}
        self.pretrainings: dict[tuple[str, int, int], Job] = {}
        self.store = self._open(study.store)
        check_settings(study, self.store)
        # Folds differ by a volume or a patient: a number of labels is one that all of them have.
        parts = subsets.parts(self.store, study)
        self.parts = {seed: parts[self._fold(seed)] for seed in study.seeds}
        self.pool = min(len(of_seed.pool) for of_seed in self.parts.values())
        held = [relatives(self.store, of_fold.test) for of_fold in parts]
        self.held = {seed: held[self._fold(seed)] for seed in study.seeds}
        self.order = {
            seed: subsets.order(self.store, of_seed.pool, study.split_seed, seed)
            for seed, of_seed in self.parts.items()
        }
        self.images = self._open(study.pretraining_store or study.store)
        self.splits: dict[Path, Split] = {}
        self.starts = {text: starts.parse(text, self.store.spatial_dims) for text in study.starts}
        names = [start.name for start in self.starts.values()]
        if len(set(names)) < len(names):
            raise InputError(
                f"two starts have the same name in {names}; name runs NAME=run:FOLDER."
            )
        self.changes = starts.changes(study.overrides)
        for name in self.changes:
            if name not in {s.name for s in self.starts.values() if s.kind in _PRETRAINED}:
                raise InputError(
                    f"an override is for {name!r}, which this study does not pretrain."
                )
        self.crop = study.crop or sizes.fitting(
            study, self.store, set.intersection(*self.held.values())
        )

    def plan(self) -> Plan:
        study = self.study
        for seed in study.seeds:
            for start in self.starts.values():
                if start.kind in _PRETRAINED:
                    key = self._key(start, seed)
                    if key not in self.pretrainings:
                        self.pretrainings[key] = self._pretraining(start, key[1], seed)
        cells: dict[tuple[str, int, int], Job] = {}
        for cell in study.runs():
            labels = subsets.count(cell.labels, self.pool)
            start = self.starts[cell.start]
            cells[start.name, labels, cell.seed] = self._cell(start, labels, cell.seed)
        return Plan(
            parts=(
                {f"fold-{seed}.json": parts for seed, parts in self.parts.items()}
                if study.folds
                else {"split.json": self.parts[study.seeds[0]]}
            ),
            # Folds share one where none of their test volumes is in its store.
            pretrainings=tuple({j.folder: j for j in self.pretrainings.values()}.values()),
            cells=tuple(cells.values()),
            splits=self.splits,
            stores=self.stores,
        )

    def _open(self, folder: Path) -> Store:
        """The store, opened once."""
        folder = folder.resolve()
        if folder not in self.stores:
            self.stores[folder] = Store(folder)
        return self.stores[folder]

    def _fold(self, seed: int) -> int:
        return seed if self.study.folds else 0

    def _held(self, store: Store, seed: int) -> set[str]:
        """Of ``store``, what the cells of a seed are tested on, and its relatives."""
        found = relatives([*self.store, *store], self.held[seed])
        return found & {volume.id for volume in store}

    def _key(self, start: Start, seed: int) -> tuple[str, int, int]:
        """Name, seed and fold of the pretraining that a cell of this seed starts from."""
        study = self.study
        own = seed if study.pretrain_each_seed else 0
        return start.name, own, self._fold(seed)

    def _pretraining(self, start: Start, own: int, seed: int) -> Job:
        """The one with the seed ``own``, for the cells of ``seed``."""
        study = self.study
        task = pretext.find(start.what)() if start.kind == "pretext" else None
        told = self.changes.get(start.name, {})
        training, task, crop = starts.apply(start.name, told, study.pretraining, task)
        if "batch_size" not in told:
            training = self._of_slices(start, training)
        more: dict[str, Any] = {
            "encoder": study.encoder,
            "widths": study.widths,
            "spatial_dims": start.dims,
            "crop": crop or self._crop(start),
            "seed": own,
            "training": training,
        }
        store = self._unlabelled(start) if task is not None else self._labelled_elsewhere()
        held = self._held(store, seed)
        alone = bool(study.folds and held)  # else all folds share it
        split = f"-{self._fold(seed)}" if alone else ""
        if task is not None:
            more["split"] = self._split(f"pretraining{split}", (), (), held)
            recipe = Pretrain(store=store.folder, out=self.out, task=task, **more)
        else:
            train = tuple(v.id for v in store if v.labelled and v.id not in held)
            if not train:
                raise InputError(f"{store.folder} has no label maps beyond the test volumes.")
            more["split"] = self._split(f"supervised{split}", train, (), held)
            recipe = Finetune(store=store.folder, out=self.out, validate_every=0, **more)
        fold = f" without fold {self._fold(seed)}" if alone else ""
        job = Job(
            recipe=recipe,
            name=f"pretraining {start.name}, seed {own}{fold}",
            kind=f"pretraining {start.name}",
            start=start.name,
            seed=own,
            without=self._fold(seed) if alone else None,
        )
        return self._named(job, f"{start.name}-seed-{own}", "pretrainings")

    def _unlabelled(self, start: Start) -> Store:
        """What the pretext tasks are pretrained on."""
        store = self.images
        if store.spatial_dims < start.dims:
            raise InputError(
                f"{store.folder} holds {store.spatial_dims}D images, on which {start.name} cannot "
                f"be pretrained in {start.dims}D; name a store of volumes."
            )
        return store

    def _labelled_elsewhere(self) -> Store:
        """Whose label maps a supervised start learns."""
        if self.study.supervised is None:
            raise InputError("start supervised needs --supervised STORE; scanprior autolabel makes "
                             "one.")  # fmt: skip
        return self._open(self.study.supervised)

    def _cell(self, start: Start, labels: int, seed: int) -> Job:
        study = self.study
        parts, before = self.parts[seed], self.pretrainings.get(self._key(start, seed))
        begin = before.folder if before else Path(start.what) if start.kind == "run" else None
        training = self._of_slices(start, study.finetuning)
        if start.kind == "scratch-long":
            training = replace(training, steps=training.steps + self._long(start, training))
        validation = parts.validation if study.validate_every else ()
        recipe = Finetune(
            store=self.store.folder,
            out=self.out,
            split=self._split(f"seed-{seed}", self.order[seed], validation, self.held[seed]),
            start=str(begin) if begin else "scratch",
            task=study.task,
            labels=float(labels),
            encoder=study.encoder,
            widths=study.widths,
            spatial_dims=start.dims,
            crop=self._crop(start),
            frozen_steps=study.frozen_steps if begin else 0,
            validate_every=study.validate_every,
            seed=seed,
            training=training,
        )
        test = Test(
            cases=parts.test,
            regions=study.regions,
            tolerance=study.tolerance,
            keep=study.predictions,
        )
        job = Job(
            recipe=recipe,
            name=f"{start.name}, {labels} labels, seed {seed}",
            kind="fine-tuning" + (" on slices" if start.dims < self.store.spatial_dims else ""),
            test=test,
            start=start.name,
            labels=labels,
            seed=seed,
            after=before.folder if before else None,
            start_folder=begin,
            seen=self._seen(start, parts.test),
        )
        return self._named(job, f"{start.name}-{labels}-labels-seed-{seed}", "cells")

    def _named(self, job: Job, name: str, room: str) -> Job:
        split = job.recipe.split
        assert split is not None
        digest = self._open(job.recipe.store).digest
        return named(job, name, self.out / room, self.splits[split], digest)

    def _split(
        self, name: str, train: tuple[str, ...], validation: tuple[str, ...], held: set[str]
    ) -> Path:
        path = self.out / "splits" / f"{name}.json"
        self.splits[path] = Split(train, validation, tuple(sorted(held)), self.study.split_seed)
        return path

    def _crop(self, start: Start) -> tuple[int, ...]:
        return self.crop[-start.dims :]

    @cache  # noqa: B019  # of one plan, which is dropped
    def _seen(self, start: Start, test: tuple[str, ...]) -> int:
        return len(seen(Path(start.what), self.store, test)) if start.kind == "run" else 0

    def _of_slices(self, start: Start, training: Training) -> Training:
        if start.dims == self.store.spatial_dims:
            return training
        return replace(training, batch_size=self.study.slices or training.batch_size * self.crop[0])

    def _long(self, start: Start, training: Training) -> int:
        """Steps of fine-tuning that see as many voxels as the longest pretraining did."""
        if self.study.long_steps is not None:
            return self.study.long_steps
        recipes = [job.recipe for job in self.pretrainings.values()]
        alike = [recipe for recipe in recipes if recipe.spatial_dims == start.dims]
        if not alike:
            raise InputError(f"{start.name} has no pretraining to match; give --long-steps.")
        return sizes.steps_like(alike, training, self._crop(start))
