"""The walk: every case looked at in parallel, then all against each other, then told."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich import box
from rich.markup import escape
from rich.table import Table

from scanprior import __version__
from scanprior.alone import closed
from scanprior.console import console, counted, say
from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.below import base_of
from scanprior.data.checks import duplicates, kinds
from scanprior.data.checks.findings import Finding, counts, ordered
from scanprior.data.checks.seen import Seen
from scanprior.data.parallel import each
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.decathlon import declared
from scanprior.data.sources.untouched import check_outside
from scanprior.data.store import Store
from scanprior.data.unnamed import is_unnamed, legend, spoken, unnamed
from scanprior.doctor import outliers, shelf
from scanprior.doctor.fix import fix, mendable
from scanprior.doctor.page import page
from scanprior.doctor.see import see
from scanprior.doctor.show import show_case, show_volume
from scanprior.doctor.unlisted import unlisted
from scanprior.saved import seen_from, write_json
from scanprior.whole import replacing

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_A_FINDING = 4
"""Cases that are pictured of one finding: enough to see that copies are copies."""


@dataclass(frozen=True, kw_only=True)
class Doctor(SourceOptions):
    """Look at every file of a source, or every volume of a store. Nothing in it is changed."""

    source: Path
    """The folder (or .npz file, or single scan) to look at, or a store."""
    out: Path = Path("doctor")
    """The folder for doctor.json and doctor.html, which call a DICOM source's files by hashes; the
    terminal says which file each is."""
    format: str | None = None
    """decathlon, brats, dicom, folder, hdf5, photographs or medmnist; recognised when not given."""
    fix: Path | None = None
    """A folder for corrected copies of files where only rounding is wrong."""
    split: Path | None = None
    """A split of the store to check; the store's own split.json when not given."""
    pictures: int = 200
    """The most cases that are shown in doctor.html."""
    workers: int = os.cpu_count() or 1
    """Processes that work side by side."""


def run_doctor(recipe: Doctor) -> dict[str, Any]:
    """Print a table on stderr, write ``doctor.json`` and ``doctor.html``.

    What is written and returned calls a DICOM source's files by hashes; below the table stands
    which file each is. Returns ``cases``, ``errors`` and ``warnings`` (counts), ``checks``
    (findings of each check), ``findings``, ``fixed`` (copies), ``left_out`` (what else lies in the
    source), ``report`` and ``seconds``. Raises :class:`InputError` for a source in which no case
    can be named, and for settings that cannot be.
    """
    started = time.perf_counter()
    _check(recipe)
    walk = _store(recipe) if shelf.is_store(recipe.source) else _source(recipe)
    found = walk.found + [finding for one in walk.seen for finding in one.findings]
    for check in (
        duplicates.duplicates,
        duplicates.patients,
        kinds.channels,
        outliers.odd_sizes,
        outliers.odd_intensities,
    ):
        found += check(walk.seen)
    findings = ordered(found)
    fixed, refused = walk.correct(mendable(walk.seen))
    findings = ordered([*findings, *refused])
    pictures = walk.show(_to_show(findings, recipe.pictures))
    result = {
        "source": walk.called,
        "cases": len(walk.seen),
        "errors": sum(finding.severity == "error" for finding in findings),
        "warnings": sum(finding.severity == "warning" for finding in findings),
        "checks": counts(findings),
        "fixed": len(fixed),
        "left_out": list(walk.left_out),
        "report": str(recipe.out / "doctor.html"),
    }
    listed = [finding.to_json() for finding in findings]
    here = {"source": walk.kept, "report": "doctor.html"}
    written = {"scanprior": __version__, **result, **here, "findings": listed}
    _write(recipe.out, written, _html(recipe, result, findings, pictures))
    if findings:
        console().print(_table(findings))
    for name, path in walk.legend([finding.sentence for finding in findings]).items():
        say(f"{name} is {path}")
    return result | {"seconds": round(time.perf_counter() - started, 3), "findings": listed}


def _check(recipe: Doctor) -> None:
    if recipe.workers < 1:
        raise InputError(f"{recipe.workers} workers cannot work; use 1 or more.")
    if recipe.pictures < 0:
        raise InputError(f"{recipe.pictures} pictures cannot be shown; use 0 or more.")
    for name, folder in (("--out", recipe.out), ("--fix", recipe.fix)):
        if folder is not None:
            check_outside(folder, recipe.source, name)
            closed(folder)


class Walk(NamedTuple):
    """What was seen, and what can still be done with what was seen."""

    called: str
    """The source in a sentence, without the patient."""
    kept: str
    """The source as the report holds it, likewise."""
    seen: list[Seen]
    found: list[Finding]
    """Of the source as a whole."""
    show: Callable[[list[str]], dict[str, str | None]]
    """Case ids to their pictures."""
    correct: Callable[[set[str]], tuple[list[Path], list[Finding]]]
    """Case ids to the corrected copies of their files, and to those that could not be made."""
    left_out: tuple[str, ...] = ()
    """What was seen in the source and is in no case."""
    legend: Callable[[list[str]], dict[str, str]] = lambda sentences: {}
    """Sentences to the hashes in them and the files that these are, for the user alone."""


def _source(recipe: Doctor) -> Walk:
    found, left_out = sources.search(recipe.source, recipe.format, recipe)
    cases = [unnamed(case) for case in found]
    base = base_of(recipe.source)
    used = Counter(path for case in cases for path in set(case.images))
    shared = frozenset(path for path, times in used.items() if times > 1)
    work = partial(see, base=base, said=declared(recipe.source), shared=shared)
    seen = [one for _, one in _each("looking", work, cases, recipe.workers)]
    by_id = {case.id: case for case in cases}

    def show(ids: list[str]) -> dict[str, str | None]:
        walk = _each("picturing", show_case, [by_id[i] for i in ids], recipe.workers)
        return {case.id: picture for case, picture in walk}

    def correct(ids: set[str]) -> tuple[list[Path], list[Finding]]:
        if recipe.fix is None:
            return [], []
        mend = partial(fix, base=base, folder=recipe.fix)
        mended = _each("correcting", mend, [by_id[i] for i in sorted(ids)], recipe.workers)
        answers = [answer for _, answer in mended]
        return (
            [path for written, _ in answers for path in written],
            [finding for _, refused in answers for finding in refused],
        )

    called = spoken(recipe.source, cases)
    kept = called if is_unnamed(cases) else seen_from(recipe.out, recipe.source)
    strays = unlisted(recipe.source, cases)
    files = partial(legend, cases=found)
    return Walk(called, kept, _sorted(seen), strays, show, correct, left_out, files)


def _store(recipe: Doctor) -> Walk:
    if recipe.fix is not None:
        raise InputError("--fix corrects a source's files; a store is prepared again instead.")
    store = Store(recipe.source)
    work = partial(shelf.look_stored, parts=shelf.parts(store, recipe.split), classes=store.classes)
    seen = [one for _, one in _each("looking", work, list(store), recipe.workers)]

    def show(ids: list[str]) -> dict[str, str | None]:
        walk = _each("picturing", show_volume, store.of(ids), recipe.workers)
        return {volume.id: picture for volume, picture in walk}

    kept = seen_from(recipe.out, recipe.source)
    found = shelf.strays(store, recipe.split)
    return Walk(str(recipe.source), kept, _sorted(seen), found, show, lambda ids: ([], []))


def _sorted(seen: list[Seen]) -> list[Seen]:
    """The same whatever worker was first."""
    return sorted(seen, key=lambda one: one.id)


def _each(
    words: str, work: Callable[[Item], Answer], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Answer]]:
    yield from counted(each(work, items, workers), words, len(items))


def _to_show(findings: Sequence[Finding], most: int) -> list[str]:
    ids = dict.fromkeys(i for finding in findings for i in finding.cases[:_A_FINDING])
    return list(ids)[:most]


def _html(
    recipe: Doctor,
    result: dict[str, Any],
    findings: Sequence[Finding],
    pictures: dict[str, str | None],
) -> str:
    about = (
        f"{result['cases']} cases, {result['errors']} errors, {result['warnings']} warnings; "
        f"scanprior {__version__}."
    )
    if result["left_out"]:
        about += f" Left out: {', '.join(result['left_out'])}."
    shown = len(_to_show(findings, len(findings) * _A_FINDING))
    if shown > len(pictures):
        about += f" {len(pictures)} of {shown} cases are pictured (--pictures)."
    return page(f"Doctor: {Path(result['source']).name}", about, findings, pictures)


def _write(out: Path, written: dict[str, Any], text: str) -> None:
    try:
        write_json(out / "doctor.json", written)
        with replacing(out / "doctor.html") as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written to ({error}); give another --out.") from error


def _table(findings: Sequence[Finding]) -> Table:
    """A line a check, errors first, with its first finding."""
    table = Table("", "check", "findings", "for example", box=box.SIMPLE_HEAD)
    style = {"error": "red", "warning": "yellow"}
    for check, number in counts(findings).items():
        first = next(finding for finding in findings if finding.check == check)
        severity = first.severity
        cells = (escape(check), str(number), escape(first.sentence))
        table.add_row(severity, *cells, style=style[severity])
    return table
