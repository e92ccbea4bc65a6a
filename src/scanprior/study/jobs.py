"""What a study does: its runs, each in a folder of its own, and what waits for what."""

from dataclasses import dataclass
from pathlib import Path

from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.pretrain import Pretrain
from scanprior.study.subsets import Parts


@dataclass(frozen=True, kw_only=True)
class Test:
    """How the last weights of a cell are scored."""

    cases: tuple[str, ...]
    regions: str
    tolerance: float
    keep: int
    """Cases whose predicted label maps are kept."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: a pretraining, or a cell with its test. Its folder is ``recipe.out``."""

    recipe: Pretrain | Finetune
    name: str
    """For a person."""
    kind: str
    """Jobs of a kind take the same time a step."""
    test: Test | None = None
    """None: a pretraining."""
    start: str
    labels: int = 0
    seed: int = 0
    after: Path | None = None
    """Folder of the pretraining that must be done before."""
    start_folder: Path | None = None
    """Folder of the pretraining or other run that this starts from."""
    seen: int = 0
    """Test volumes that the other run was trained on."""
    without: int | None = None
    """Of a pretraining: the fold whose test volumes it leaves out; None where folds share it."""

    @property
    def folder(self) -> Path:
        return self.recipe.out


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a study will do, nothing of it done."""

    parts: dict[str, Parts]
    """The study's split.json; or fold-0.json, ... of the folds that are tested."""
    pretrainings: tuple[Job, ...]
    cells: tuple[Job, ...]
    splits: dict[Path, Split]
    """What the recipes' ``split`` files are to hold."""
    stores: dict[Path, Store]
    """Those of the recipes, by their folder."""

    @property
    def seen(self) -> dict[str, int]:
        """Start to the number of test volumes (of a fold at most) that its run was trained on;
        without those of 0."""
        found: dict[str, int] = {}
        for job in self.cells:
            if job.seen:
                found[job.start] = max(job.seen, found.get(job.start, 0))
        return found

    @property
    def jobs(self) -> list[Job]:
        """Each pretraining right before the first cell that needs it."""
        by_folder = {job.folder: job for job in self.pretrainings}
        found: list[Job] = []
        for cell in self.cells:
            if cell.after in by_folder:
                found.append(by_folder.pop(cell.after))
            found.append(cell)
        return found
