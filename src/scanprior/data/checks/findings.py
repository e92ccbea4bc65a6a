"""What a check says: how bad it is, of which file, and one sentence with what to do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a source or a store."""

    check: str
    """Which check found it, in a word or three; findings of one check are shown together."""
    severity: Severity
    """error: prepare would refuse it, a result would be wrong, or ``--fix`` could not do what it
    was asked to; warning: look at it."""
    file: str
    """The file, as its path below the source."""
    sentence: str
    """The file, what is wrong with it, what to do."""
    cases: tuple[str, ...] = ()
    """Ids of the cases (or volumes) that a picture of it shows."""

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "check": self.check,
            "file": self.file,
            "cases": list(self.cases),
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Finding":
        cases: dict[str, Any] = {"cases": tuple(kept["cases"])}
        return cls(**kept | cases)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then by check and file: the same order whatever worker was first."""
    return sorted(findings, key=lambda f: (f.severity, f.check, f.file, f.sentence))


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings each check has, errors' checks first."""
    return dict(Counter(finding.check for finding in ordered(findings)))
