"""What prepare, doctor and predict made of damaged scans: one word a scan."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from scanprior.data import sources
from scanprior.data.sources import SourceOptions
from scanprior.data.store import Store, Volume
from scanprior.data.unnamed import named

from . import reference
from .reference import Scan
from .trying import Told

FAILURES = (
    "traceback",
    "crash",
    "hang",
    "memory",
    "changed source",
    "wrong volume",
    "no sentence",
    "warning",
    "no judgement",
)
HARMLESS = ("sentence", "left out", "other value", "correct volume")
READING = (
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    RuntimeError,
    ArithmeticError,
)
"""What the independent readers raise for a file that they cannot read."""
_LONGEST = 1000


class Verdict(NamedTuple):
    word: str
    """One of ``FAILURES`` or ``HARMLESS``."""
    said: str = ""
    """What was said of the file, or what is wrong."""


Expected = Callable[[Sequence[Path]], Scan]
"""The files of a case to what an independent reader makes of them."""
Verdicts = dict[str, Verdict]


def sentence(said: str, *names: str) -> Verdict:
    """Whether ``said`` is one sentence that has one of ``names`` in it."""
    text = said.strip().removeprefix("scanprior: ")
    if "MemoryError" in text:
        return Verdict("memory", text)
    clear = bool(text) and "\n" not in text and text.endswith((".", ". ")) and len(text) < _LONGEST
    named = any(name in text for name in names)
    return Verdict("sentence" if clear and named else "no sentence", text)


def refusal(told: Told, *names: str) -> Verdict:
    """The one sentence with which a command ended."""
    lines = [line for line in told.err.splitlines() if line.startswith("scanprior: ")]
    if told.code != 2 or len(lines) != 1:
        return Verdict("no sentence", f"exit code {told.code}: {told.err[-500:]}")
    return sentence(lines[0], *names)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    order = (*FAILURES, *HARMLESS)
    return min(verdicts, key=lambda verdict: order.index(verdict.word))


def cases_of(source: Path) -> dict[str, list[str]]:
    """Each case's id and the names of its files."""
    base = source if source.is_dir() else source.parent
    return {
        case.id: list(case.shown or [str(path.relative_to(base)) for path in case.images])
        for case in sources.find(source, None, SourceOptions())
    }


def prepared(
    store: Path, names: dict[str, list[str]], source: Path, expected: Expected
) -> Verdicts:
    """Each case's verdict; ``names`` are its files, which a store of DICOM does not tell."""
    verdicts: Verdicts = {}
    if (store / "rejected.json").is_file():
        for entry in json.loads((store / "rejected.json").read_text()):
            verdicts[entry["id"]] = sentence(entry["reason"], "")  # the entry has the names
    for volume in Store(store):
        paths = [source / name for name in names[volume.id]]
        verdicts[volume.id] = _compared(_scan(volume), paths, expected)
    return verdicts


def normal(store: Path) -> Verdicts:
    """Each case's verdict where intensities were brought to a scale: they are finite."""
    rejected = store / "rejected.json"
    entries = json.loads(rejected.read_text()) if rejected.is_file() else []
    verdicts = {entry["id"]: sentence(entry["reason"], "") for entry in entries}
    for volume in Store(store):
        fine = bool(np.isfinite(volume.read()).all())
        said = Verdict("correct volume") if fine else Verdict("wrong volume", "NaN or infinity")
        verdicts[volume.id] = said
    return verdicts


def in_words(source: Path) -> Callable[[str], str]:
    """What gives the hashes in a report about DICOM back their names, as the terminal does."""
    return named(sources.find(source, None, SourceOptions()))


def looked(out: Path, cases: dict[str, list[str]], words: Callable[[str], str]) -> Verdicts:
    """Each case with what doctor said of it, in :func:`in_words`; ``cases`` are their files."""
    verdicts = dict.fromkeys(cases, Verdict("correct volume"))
    for finding in json.loads((out / "doctor.json").read_text())["findings"]:
        for case in finding["cases"] if finding["severity"] == "error" else ():
            names = (Path(name).name for name in cases.get(case, ()))
            said = sentence(words(finding["sentence"]), words(finding["file"]), *names)
            verdicts[case] = worst([said, verdicts.get(case, said)])
    return verdicts


def predicted(
    out: Path, told: Told, names: dict[str, list], source: Path, expected: Expected
) -> Verdicts:
    """Each case with what predict made of it; ``names`` are each case's files."""
    result = json.loads(told.out.strip().splitlines()[-1])
    verdicts = {
        case: sentence(reason, case, *map(str, names.get(case, ())))
        for case, reason in result["rejected"].items()
    }
    for case, files in names.items():
        made = out / f"{case}.nii.gz"
        if case not in verdicts and made.is_file():
            verdicts[case] = _same_grid(made, [source / name for name in files], expected)
    return verdicts


def _same_grid(made: Path, files: Sequence[Path], expected: Expected) -> Verdict:
    try:
        theirs = expected(files)
    except READING as error:
        return Verdict("wrong volume", f"no other reader reads it: {error!r}")
    mine = nib.load(made)
    close = np.allclose(mine.affine, theirs.affine, rtol=1e-3, atol=1e-3)
    if mine.shape == theirs.array.shape[:3] and close:
        return Verdict("correct volume")
    return Verdict("wrong volume", f"a label map of {mine.shape} on another grid")


def _scan(volume: Volume) -> Scan:
    mine = volume.read()
    return Scan(mine.T, np.array(volume.record["geometry"]["affine_after"], dtype=float))


def _compared(mine: Scan, files: Sequence[Path], expected: Expected) -> Verdict:
    try:
        theirs = reference.upright(expected(files))
    except READING as error:
        return Verdict("wrong volume", f"no other reader reads it: {error!r}")
    if theirs.array.ndim == 3:
        theirs = Scan(theirs.array[..., None], theirs.affine)
    wrong = reference.same(mine, theirs)
    return Verdict("correct volume") if wrong is None else Verdict("wrong volume", wrong)
