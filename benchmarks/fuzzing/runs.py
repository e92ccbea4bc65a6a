"""Damaged recipes, indexes, records, splits, checkpoints and weights: what came of each."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch

from . import judge
from .damage import Draw, Mutant
from .judge import Verdict
from .patches import BINARY, BYTES, TEXT, mutated
from .scans import fingerprint
from .targets import SOURCES, TARGETS, VERBS, Target
from .trying import Told, apart, command


def mutants(numbers: range, draw: Draw, whole: Path) -> Iterator[tuple[Target, Mutant]]:
    """A damaged file for each number: each target in turn, and of each its mutations."""
    for number in numbers:
        target = TARGETS[number % len(TARGETS)]
        (path,) = whole.glob(target.path)
        words = TEXT if path.suffix in (".json", ".jsonl", ".csv") else BINARY
        if path.suffix == ".csv":
            words = BYTES
        if path.suffix == ".b2nd":  # which has no checksum, so that its voxels are not looked at
            words = ("truncated", "head bits flipped")
        mutation = words[number // len(TARGETS) % len(words)]
        content = mutated(path, mutation, draw)
        name = str(path.relative_to(whole))
        if path.suffix == ".ckpt":  # else it is passed over for its hash, which is one of the tries
            kept = mutation == "truncated" and draw.random() < 0.5
            new = hashlib.sha256(content).hexdigest()[:16]
            name = name if kept else f"{name[: name.rindex('-')]}-{new}.ckpt"
        yield target, Mutant(name, content, target.kind, mutation, path.read_bytes())


def tried(target: Target, mutant: Mutant, home: Path) -> dict[str, Verdict]:
    """The verb of each command that reads the file to what came of it."""
    return {VERBS[words]: _one(words, target, mutant, home) for words in target.commands}


def undamaged(target: Target, words: str, home: Path) -> dict[str, str]:
    """What the command leaves where nothing was damaged."""
    work = _restored(target, None, home)
    command(words.split(), work)
    return outputs(work)


_known: dict[tuple[tuple[str, ...], str], dict[str, str]] = {}


def _one(words: str, target: Target, mutant: Mutant, home: Path) -> Verdict:
    work = _restored(target, mutant, home)
    before = _sources(work)
    told = command(words.split(), work)
    if _sources(work) != before:
        return Verdict("changed source")
    if told.failure:
        return Verdict(told.failure, told.err[-2000:])
    path = Path(mutant.name)
    names = (mutant.name, path.name, f"{path.parent} ", f"{path.parent},", "the split")
    if path.name == "dataset.json":
        names = (*names, "the list that names it")
    if path.name == "index.json":  # by a hash that is not the volume's
        names = (*names, "is not as it was written")
    if told.code == 2 and (work / "doctor" / "doctor.json").is_file():
        found = json.loads((work / "doctor" / "doctor.json").read_text())["findings"]
        errors = [one["sentence"] for one in found if one["severity"] == "error"]
        return judge.worst(judge.sentence(said, *names) for said in errors)
    if told.code not in (0, 1):
        return judge.refusal(told, *names)
    now = outputs(work)
    checked = apart(lambda: _finite(work), work, 60)
    if (target.first, words) not in _known:  # in the same folder, for names are in the results
        _known[target.first, words] = undamaged(target, words, home)
    whole = _known[target.first, words]
    if words in target.anew and now != whole:
        return Verdict("wrong volume", f"{mutant.name} or what it names was not written anew")
    return _ended(told, now, whole, mutant, checked)


def _ended(
    told: Told, now: dict[str, str], undamaged: dict[str, str], mutant: Mutant, checked: Told
) -> Verdict:
    """A command that ended well: as if nothing were damaged, or with other numbers."""
    differ = {name for name in now.keys() | undamaged if now.get(name) != undamaged.get(name)}
    differ.discard(mutant.name)
    if not differ:
        return Verdict("correct volume")
    if mutant.mutation in BYTES:
        said = f"{Path(mutant.name).name} " in told.err or "checkpoint" in mutant.kind
        if not said and not mutant.name.endswith(("json", "jsonl", "csv")):
            return Verdict("wrong volume", f"damaged, and taken all the same: {sorted(differ)[:5]}")
    if checked.code:
        return Verdict("wrong volume", checked.err[-500:])
    return Verdict("other value")


def _restored(target: Target, mutant: Mutant | None, home: Path) -> Path:
    """``work`` as it was, but for the damaged file."""
    work = home / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(home / "whole", work)
    for name in target.first:
        shutil.rmtree(work / name)
    if mutant is not None:
        for old in work.glob(target.path):
            old.unlink()
        path = work / mutant.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mutant.content)
    return work


def outputs(work: Path) -> dict[str, str]:
    """The hash of every result, without what measures time or is an input's copy."""
    found = {}
    for path in work.rglob("*"):
        name = str(path.relative_to(work))
        if path.suffix == ".safetensors" and path.is_file():
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        elif path.suffix in (".b2nd", ".gz", ".png", ".csv") or path.name in (
            "index.json",
            "rejected.json",
            "warnings.json",
            "doctor.json",
            "report.md",
        ):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    found.pop("study/cells.csv", None)
    return found


def _sources(work: Path) -> list[dict[str, str]]:
    return [fingerprint(work / name) for name in SOURCES]


def _finite(work: Path) -> None:
    for path in (*work.glob("new/*.safetensors"), *work.glob("pretext/*.safetensors")):
        for name, tensor in safetensors.torch.load(path.read_bytes()).items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise SystemExit(f"{path} holds {name}, which is not finite")
