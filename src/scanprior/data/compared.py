"""Prepared cases against each other: other kinds than most, copies, patients in two splits."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scanprior.data.checks import duplicates, kinds
from scanprior.data.checks.findings import Finding, ordered
from scanprior.data.checks.seen import Seen, part_of
from scanprior.data.sources import Case


def compared(records: Mapping[Case, dict[str, Any]]) -> tuple[dict[Case, str], list[Finding]]:
    """Cases that no batch could hold beside the others, with the reason; and what is odd about the
    rest: in each of them, and one against the other."""
    by_id = {case.id: case for case in records}
    seen = {case: _seen(case, record) for case, record in records.items()}
    apart = kinds.channels(list(seen.values()))
    strange = {by_id[i]: finding.sentence for finding in apart for i in finding.cases}
    rest = [one for case, one in seen.items() if case not in strange]
    found = [*duplicates.duplicates(rest), *duplicates.patients(rest)]
    # of two copies that disagree one may be right, so that none is rejected
    between = [replace(finding, severity="warning") for finding in found]
    return strange, ordered([*(f for one in rest for f in one.findings), *between])


def _seen(case: Case, record: dict[str, Any]) -> Seen:
    source, looked = record["source"], record["looked"]
    return Seen(
        id=case.id,
        file=source if isinstance(source, str) else source[0],
        patient=case.patient,
        part=part_of(case),
        grade=case.grade,
        shape=tuple(record["shape"]),
        bytes=json.dumps(record["sha256"]) if record["hashed"] == "files" else None,
        voxels=looked["voxels"],
        label=looked["label"],
        findings=tuple(map(Finding.from_json, looked["warnings"])),
    )
