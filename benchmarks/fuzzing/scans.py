"""Damaged scans through doctor, prepare and predict: many in a folder, each alone where need be."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from . import judge
from .damage import Mutant
from .judge import Expected, Verdict, Verdicts
from .trying import SECONDS, Told, apart, command

COMMANDS = ("prepare", "prepare, z-scores", "doctor", "predict")
_WORDS = {
    "prepare": "prepare {0} out --workers 1 --intensity none",
    "prepare, z-scores": "prepare {0} out --workers 1",
    "doctor": "doctor {0} --out out --workers 1 --pictures 4",
    "predict": "predict run {0} --out out --overlap 0 --json",
}


class Trying(NamedTuple):
    """How scans of a kind are given to the commands."""

    home: Path
    """A folder with the fine-tuned ``run``."""
    expected: Callable[[Path, dict[str, Mutant]], Expected]
    """The independent reader, for these scans below a folder."""
    seconds: int = SECONDS
    """For each command."""


def tried(mutants: Sequence[Mutant], how: Trying) -> dict[tuple[str, str], Verdict]:
    """Each mutant's name and command to what came of it."""
    found: dict[tuple[str, str], Verdict] = {}
    for verb in COMMANDS:
        verdicts = _given(verb, mutants, how)
        for mutant in mutants:
            verdict = verdicts.get(mutant.name)
            if verdict is None or verdict.word in judge.FAILURES:
                verdict = _given(verb, [mutant], how).get(mutant.name)
            found[mutant.name, verb] = verdict or Verdict("no sentence", "nothing was said of it")
    return found


def _given(verb: str, mutants: Sequence[Mutant], how: Trying) -> Verdicts:
    """Each mutant's name to what came of it, where that can be told."""
    source, out = how.home / "source", how.home / "out"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    _write(source, mutants)
    alone = mutants[0].unit if len(mutants) == 1 else None
    given = "source" if alone is None else f"source/{alone}"
    before = fingerprint(source)
    told = command(_WORDS[verb].format(given).split(), how.home, how.seconds)
    if fingerprint(source) != before:
        return {m.name: Verdict("changed source") for m in mutants}
    if told.failure:
        return {m.name: Verdict(told.failure, told.err[-2000:]) for m in mutants}
    if alone is not None and not _made(verb, out):
        only = mutants[0]
        files = (Path(name).name for name in (only.name, *only.beside))  # a series' first is named
        return {only.name: judge.refusal(told, alone, "source", *files)}
    judged = apart(lambda: _judge(verb, source, given, told, mutants, how), how.home, 120)
    if judged.code:
        return {m.name: Verdict("no judgement", judged.err[-2000:]) for m in mutants}
    verdicts = {name: Verdict(*said) for name, said in json.loads(judged.out).items()}
    if told.code == 0 and any(verdict.word == "sentence" for verdict in verdicts.values()):
        return dict.fromkeys(verdicts, Verdict("no sentence", "refused, with the exit code 0"))
    return verdicts


def _made(verb: str, out: Path) -> bool:
    made = {"doctor": "doctor.json", "predict": "*.nii.gz"}.get(verb, "index.json")
    return any(out.glob(made))


def _judge(
    verb: str,
    source: Path,
    given: str,
    told: Told,
    mutants: Sequence[Mutant],
    how: Trying,
) -> None:
    """Print each mutant's verdict as JSON."""
    out, base = how.home / "out", how.home / given
    names, words = judge.cases_of(base), judge.in_words(base)
    base = base if base.is_dir() else base.parent
    expected = how.expected(source, {m.name: m for m in mutants})
    if verb == "prepare":
        verdicts = judge.prepared(out, names, base, expected)
    elif verb == "prepare, z-scores":
        verdicts = judge.normal(out)
    elif verb == "doctor":
        verdicts = judge.looked(out, names, words)
    else:
        verdicts = judge.predicted(out, told, names, base, expected)
    found: Verdicts = {}
    prefix = "" if base == source else f"{base.relative_to(source)}/"
    for case, verdict in verdicts.items():
        for name in names.get(case, ()):
            whole = f"{prefix}{name}"
            found[whole] = judge.worst([verdict, found.get(whole, verdict)])
    of_each = {m.name: _of(m, found) for m in mutants}
    if "left out " not in told.err:
        for name, verdict in of_each.items():
            if verdict and verdict.word == "left out":
                of_each[name] = Verdict("no sentence", "left out without a word")
    print(json.dumps({name: verdict for name, verdict in of_each.items() if verdict}))


def _of(mutant: Mutant, found: Verdicts) -> Verdict | None:
    """The verdict on a mutant, or on what is beside it where it was left out."""
    if mutant.name in found:
        rest = [found[name] for name in mutant.beside if name in found]
        wrong = [verdict for verdict in rest if verdict.word in judge.FAILURES]
        return judge.worst([found[mutant.name], *wrong])
    rest = [found[name] for name in mutant.beside if name in found]
    if not rest:
        return None
    verdict = judge.worst(rest)
    part = Path(mutant.name).suffix in (".hdr", ".img")  # of the case that the other one names
    return verdict if part or verdict.word != "correct volume" else Verdict("left out")


def _write(source: Path, mutants: Sequence[Mutant]) -> None:
    for mutant in mutants:
        for name, content in {**mutant.beside, mutant.name: mutant.content}.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file's hash."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
