"""What was tried, as counts of each outcome, with a sentence for each kind of damage."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .damage import Mutant
from .judge import FAILURES, Verdict

_SHOWN = 240
WORDS = {
    "sentence": "one sentence that names the file, and an exit code that is not 0",
    "correct volume": (
        "prepare: numbers and place as an independent reader has them; with z-scores: finite "
        "numbers; predict: a label map on the grid of an independent reader; doctor: no error; "
        "what scanprior wrote: the same results as of the undamaged file"
    ),
    "left out": "DICOM: no scan any more, and said to be left out",
    "other value": "what scanprior wrote: another value that is a possible one was taken",
}
"""What the outcomes that are no failures mean."""


class Try(NamedTuple):
    """One damaged file through one command."""

    subject: str
    """nifti, dicom, runs or awkward."""
    name: str
    kind: str
    mutation: str
    command: str
    word: str
    said: str

    @property
    def failed(self) -> bool:
        return self.word in FAILURES


def try_of(subject: str, mutant: Mutant, command: str, verdict: Verdict) -> Try:
    said = verdict.said[-_SHOWN * 8 :]
    return Try(subject, mutant.name, mutant.kind, mutant.mutation, command, verdict.word, said)


def table(tries: Iterable[Try]) -> dict[str, Any]:
    """Totals, rows of what x mutation x command, and every failure."""
    files: dict[str, int] = Counter()
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    examples: dict[tuple[str, str, str], str] = {}
    outcomes: Counter[str] = Counter()
    failures = []
    seen = set()
    for one in tries:
        if (one.subject, one.name) not in seen:
            seen.add((one.subject, one.name))
            files[one.subject] += 1
        key = (_what(one), one.mutation, one.command)
        rows.setdefault(key, Counter())[one.word] += 1
        outcomes[one.word] += 1
        if one.word == "sentence":
            examples.setdefault(key, one.said[:_SHOWN])
        if one.failed:
            failures.append(one._asdict())
    return {
        "files": dict(sorted(files.items())),
        "commands": sum(outcomes.values()),
        "outcomes": dict(outcomes.most_common()),
        "words": {word: said for word, said in WORDS.items() if word in outcomes},
        "failures": failures,
        "rows": [
            dict(zip(("what", "mutation", "command"), key, strict=True))
            | {"outcomes": dict(sorted(counts.items()))}
            | ({"example": examples[key]} if key in examples else {})
            for key, counts in sorted(rows.items())
        ],
    }


def _what(one: Try) -> str:
    return "NIfTI" if one.subject == "nifti" else one.kind


def write(path: Path, told: dict[str, Any]) -> None:
    """JSON with a line for each row."""
    rest = {key: value for key, value in told.items() if key != "rows"}
    head = json.dumps(rest, indent=1).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(row) for row in told["rows"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},\n "rows": [\n  {rows}\n ]\n}}\n')
