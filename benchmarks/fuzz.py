"""Thousands of damaged files through the commands that read them: a sentence, or the right volume.

    nice -n 12 env OMP_NUM_THREADS=1 python benchmarks/fuzz.py

NIfTI and DICOM, damaged in every way of ``fuzzing``, and the real oddities in ``--awkward`` go
through doctor, prepare and predict; the files that scanprior writes itself through the commands
that read them. Each command is a forked process with 30 seconds of a processor (real scans, which
are whole ones: 120) and 4 GiB. It must end in one sentence that names the file and an exit code
that is not 0, or in what an independent reader makes of the file. Never in a traceback, a hang, a
crash, more memory, another volume or another source.

The same command continues where it was interrupted: what was tried is kept in ``--out``, of every
seed. Writes ``results/fuzz.json``, of what this command tries alone. Linux or macOS.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from faults import write_scans
from fuzzing import awkward, dicom, nifti, runs, scans, targets
from fuzzing.damage import Mutant
from fuzzing.scans import Trying
from fuzzing.table import Try, table, try_of, write
from fuzzing.trying import SECONDS
from rich.progress import Progress

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "fuzz.json"
AWKWARD = HERE.parents[1] / "shared" / "data" / "awkward"
COUNTS = {"nifti": 2000, "dicom": 500, "runs": 500, "awkward": 0}
AT_ONCE = {"nifti": 20, "dicom": 10, "runs": 4}
"""Damaged files to a folder, where they do not disturb each other; and between two notes."""


def main() -> None:
    parser = argparse.ArgumentParser(description="damaged files through every command")
    parser.add_argument("--only", nargs="+", default=list(COUNTS), choices=list(COUNTS))
    parser.add_argument("--count", type=int, help="damaged files of each kind, and no bombs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("demo/fuzz"), help="scratch folder")
    parser.add_argument("--awkward", type=Path, default=AWKWARD, help="a folder of real oddities")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    kept: list[Try] = []
    for subject in options.only:
        count = COUNTS[subject] if options.count is None else options.count
        kept += _subject(subject, count, options)
    command = f"python benchmarks/{Path(__file__).name} {shlex.join(sys.argv[1:])}".strip()
    told = {"command": command, "seed": options.seed} | table(kept)
    write(options.results, told)
    print(json.dumps({key: told[key] for key in ("files", "commands", "outcomes")}))
    if told["failures"]:
        sys.exit(f"{len(told['failures'])} failures; see {options.results}")


def _subject(subject: str, count: int, options: argparse.Namespace) -> list[Try]:
    """All tries of the subject: what was not tried before is tried now, and noted."""
    home = (options.out / subject).resolve()
    if not (home / "whole").is_dir():
        begin = targets.BEGIN if subject == "runs" else targets.BEGIN_MODEL
        targets.begin(home, write_scans, begin)
    known: dict[str, list[Try]] = {}
    for line in _lines(options.out, subject):
        name, *one = json.loads(line)
        known.setdefault(name, []).append(Try(*one))
    real = options.awkward if options.awkward.is_dir() else None
    batches = list(_batches(subject, count, home, real))
    found: list[Try] = []
    with Progress() as progress, (options.out / f"{subject}.jsonl").open("a") as notes:
        for name, tried in progress.track(batches, description=subject):
            seeded = f"seed {options.seed}: {name}"
            if seeded not in known:
                draw = np.random.default_rng([options.seed, *name.encode()])
                known[seeded] = tried(draw)
                # in one go, so that a batch is noted whole or not at all
                notes.write("".join(json.dumps([seeded, *one]) + "\n" for one in known[seeded]))
                notes.flush()
            found += known[seeded]
    return found


Make = Callable[[np.random.Generator], Iterable[Mutant]]
Batch = tuple[str, Callable[[np.random.Generator], list[Try]]]


def _batches(subject: str, count: int, home: Path, real: Path | None) -> Iterator[Batch]:
    """Each batch's name and how it is tried."""
    if subject == "awkward":
        for mutants in awkward.batches(real) if real else ():
            how = Trying(home / "whole", awkward.expected, 4 * SECONDS)  # real scans, whole ones
            first = mutants[0]
            name = f"{first.kind}/{first.name}, {first.mutation}"
            yield name, partial(_scans, subject, lambda _, m=mutants: m, how)
        return
    for first in range(0, count, AT_ONCE[subject]):
        numbers = range(first, min(first + AT_ONCE[subject], count))
        name = f"{subject} {numbers.start} to {numbers.stop}"
        if subject == "runs":
            yield name, partial(_runs, numbers, home)
        elif subject == "dicom":
            make = partial(dicom.mutants, numbers, awkward=real)
            yield name, partial(_scans, subject, make, Trying(home / "whole", dicom.expected))
        else:
            make = partial(nifti.mutants, numbers)
            yield name, partial(_scans, subject, make, Trying(home / "whole", nifti.expected))
    if subject == "nifti" and count == COUNTS[subject]:
        for bomb in nifti.bombs():
            how = Trying(home / "whole", nifti.expected)
            yield bomb.name, partial(_scans, subject, lambda _, bomb=bomb: [bomb], how)


def _scans(subject: str, make: Make, how: Trying, draw: np.random.Generator) -> list[Try]:
    mutants = list(make(draw))
    found = scans.tried(mutants, how)
    named = {mutant.name: mutant for mutant in mutants}
    return [try_of(subject, named[name], verb, said) for (name, verb), said in found.items()]


def _runs(numbers: range, home: Path, draw: np.random.Generator) -> list[Try]:
    mutants = zip(numbers, runs.mutants(numbers, draw, home / "whole"), strict=True)
    return [
        try_of("runs", mutant._replace(name=f"{mutant.name} ({number})"), verb, said)
        for number, (target, mutant) in mutants
        for verb, said in runs.tried(target, mutant, home).items()
    ]


def _lines(out: Path, subject: str) -> list[str]:
    path = out / f"{subject}.jsonl"
    return path.read_text().splitlines() if path.is_file() else []


if __name__ == "__main__":
    main()
