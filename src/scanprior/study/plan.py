"""What a study is told, and the cells that follow from it."""

import dataclasses
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, get_args, get_type_hints

from scanprior.contracts import InputError, Task
from scanprior.data.kept import wrong
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.saved import freeze


class Cell(NamedTuple):
    """One fine-tuning of a study."""

    start: str
    labels: int | str
    """A number of volumes, or a share of the pool (25%)."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """What a job asks of the cluster; the job is one pretraining or one cell."""

    partition: str | None = None
    """By default the cluster's own."""
    minutes: int = 240
    """Longest run; a job that is cut off is queued again and continues."""
    cpus: int = 4
    """Processor cores."""
    gpus: int = 0
    """0 computes on the processor."""
    memory_gb: int = 16
    """Main memory."""
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    """local and debug try submitit without a cluster: in processes here, or in this process."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Compare starts at several numbers of labels, over seeds, on one held-out test set.

    The same command again skips what is done, retries what failed and continues what was cut off.
    Given as flags, or as a Python file that holds `study = Study(...)`: scanprior study FILE.py
    runs that file as Python, so name only files that you trust; flags after it replace its values.
    """

    store: Path
    """Folder that `scanprior prepare` made, with labels."""
    out: Path
    """Folder to write: results.csv, cells.csv, and a run folder for each pretraining and cell."""
    starts: tuple[str, ...] = ("scratch", "rotation")
    """scratch; scratch-long (with the pretraining's compute added); a pretext task; supervised;
    run:FOLDER of any run, or NAME=run:FOLDER (said where that saw test volumes). With -2d after
    it: on slices of the volumes."""
    labels: tuple[int | str, ...] = (5, 10, 20)
    """Numbers of labelled volumes to train on, or shares of the pool (25%). Nested within a seed:
    5 labels are the first five of 10."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each draws its own labelled volumes, weights, crops and views."""
    task: Task = field(default_factory=Segmentation)
    """What is fine-tuned for."""
    encoder: str = "small"
    """Of all starts: small, unet, residual, paper, densenet121, swin, or a module of your own."""
    widths: tuple[int, ...] | None = None
    """Channels of each level, in place of the encoder's own."""
    crop: tuple[int, ...] | None = None
    """Voxels an axis of a training crop; by default the largest that the volumes hold and the
    encoder can halve, up to 64 (224 in 2D). Slices take its last two sides."""
    slices: int | None = None
    """Batch size of starts on slices; by default as many slices as the batch's crops are deep, so
    that a step sees as many voxels."""
    pretraining: Training = field(default_factory=Training)
    """Of every pretext task, and of the supervised start."""
    pretraining_store: Path | None = None
    """Store whose images the pretext tasks are pretrained on, in place of --store; its label maps
    are not read. Images of the test volumes' patients, by id or by bytes, are left out there too.
    Where it has other channels, input weights are repeated (the paper's way)."""
    overrides: tuple[str, ...] = ()
    """Changes for one pretraining: START.FIELD=VALUE, where the field is one of --pretraining, of
    the pretext task, or crop: cpc.steps=2000 rpl.queries=8 cpc.crop=[32,32,32]."""
    supervised: Path | None = None
    """Store with (automatic) label maps for the start called supervised."""
    pretrain_each_seed: bool = False
    """A pretraining for every seed; by default its seed is 0 and all seeds start from it."""
    long_steps: int | None = None
    """Steps added for scratch-long. By default as many as see the voxels that the longest
    pretraining saw: its steps x batch x crop, divided by fine-tuning's batch x crop. A count is the
    same on every machine, unlike measured time; cells.csv has the minutes to check it."""
    finetuning: Training = field(default_factory=lambda: Training(lr=4e-3))
    """Of every start alike. In Python, Training(...) without lr has 1e-3; name lr=4e-3 too."""
    frozen_steps: int = 0
    """Steps with a pretrained encoder frozen before all is trained (the paper's warm-up); a random
    encoder is never frozen."""
    validate_every: int = 100
    """Steps between points of the convergence curve; 0: none."""
    validation: int = 20
    """Labelled volumes for that curve only; no choice is made on them. With folds about as many,
    alike in grades; of a source with a validation part, that part."""
    test: int = 50
    """Labelled volumes held out: no pretraining of this study and no fine-tuning sees their images,
    and only the last weights are scored on them. Of a source with a test part, that part."""
    folds: int = 0
    """Cross-validation in place of that one test set: seed k tests on part k, counted from 0, of so
    many parts alike in grades, and is pretrained without it. A share of the pool is then one of the
    smallest fold's pool. 0: none."""
    split: Path | None = None
    """A split.json whose train, validation and test volumes to take instead; train is the pool."""
    split_seed: int = 0
    """Of the test and validation volumes."""
    regions: Literal["none", "brats"] = "none"
    """none: every label value by itself; brats: enhancing tumour, tumour core, whole tumour."""
    tolerance: float = 1.0
    """Distance in mm (pixels in photographs) within which the NSD counts a surface as found."""
    predictions: int = 3
    """Test volumes whose predicted label maps every cell keeps; the report shows the first."""
    executor: Literal["local", "processes", "slurm"] = "local"
    """local: one after the other; processes: several at once here; slurm: jobs of a cluster."""
    jobs: int = 2
    """How many at once, with processes and slurm."""
    slurm: Slurm = field(default_factory=Slurm)
    dry_run: bool = False
    """Only print the cells, and how long they will take by a measured step of each kind."""

    def __post_init__(self) -> None:
        self._check_types()
        for name in ("starts", "labels", "seeds"):
            given = getattr(self, name)
            if not given:
                raise InputError(f"a study without {name} has no cells; give at least one.")
            if len(set(given)) < len(given):
                raise InputError(f"{name} {given} repeats one; give each once.")
        for name, least in (("jobs", 1), ("test", 1), ("validation", 0), ("predictions", 0)):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} {getattr(self, name)} is impossible; it must be {least} or more."
                )
        if self.folds and (self.folds < 2 or max(self.seeds) >= self.folds or self.split):
            raise InputError(
                f"{self.folds} folds with the seeds {self.seeds} is impossible; use 2 or more "
                "folds, seeds below their number, and no split."
            )
        for training in (self.pretraining, self.finetuning):
            if training.devices * training.nodes > 1:
                raise InputError(
                    "a study trains each cell on one device; use --executor processes or slurm "
                    "with --jobs for more at once."
                )

    def _check_types(self) -> None:
        """A study is written by hand: a path may be text, and a tuple a list."""
        for name, kind in get_type_hints(Study).items():
            value = getattr(self, name)
            if dataclasses.is_dataclass(value):
                continue
            if isinstance(value, str) and Path in (kind, *get_args(kind)):
                object.__setattr__(self, name, Path(value))
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            if said := wrong(kind, freeze(value), name):
                raise InputError(f"of a study {said}.")

    def runs(self) -> tuple[Cell, ...]:
        """Every cell: all starts and numbers of labels of the first seed, then of the next."""
        every = product(self.seeds, self.labels, self.starts)
        return tuple(Cell(start, labels, seed) for seed, labels, start in every)
