"""Checks of cases against each other: the same image twice, the same patient in two splits."""

from collections import defaultdict
from collections.abc import Sequence

from scanprior.data.checks.findings import Finding
from scanprior.data.checks.seen import Seen
from scanprior.data.grouped import grouped

SPLITS = frozenset({"train", "val", "test"})


def duplicates(seen: Sequence[Seen]) -> list[Finding]:
    """Cases that are one image twice, byte for byte or voxel for voxel.

    An error where the copies have different labels or lie in different splits, else a warning.
    """
    found = []
    for group in grouped(sorted(seen, key=lambda one: one.id), _hashes):
        if len(group) == 1:
            continue
        same_bytes = len({one.bytes for one in group}) == 1 and group[0].bytes is not None
        how = "byte for byte" if same_bytes else "voxel for voxel"
        names = ", ".join(one.id for one in group[:6]) + (", ..." if len(group) > 6 else "")
        begin = f"{names} are the same image {how}"
        ids, file = tuple(one.id for one in group), group[0].file
        grades = sorted({one.grade for one in group if one.grade is not None})
        labels = {one.label for one in group if one.label is not None}
        parts = sorted({one.part for one in group} & SPLITS)
        if len(grades) > 1 or len(labels) > 1:
            said = [str(one.grade) for one in group if one.grade is not None][:6]
            what = f"graded {', '.join(said)}" if said else "with different label maps"
            words = f"{begin}, but {what}; find out which is right and keep that one."
            found.append(Finding("duplicates that disagree", "error", file, words, ids))
        if len(parts) > 1:
            words = f"{begin}, in {' and '.join(parts)}; keep them in one split."
            found.append(Finding("duplicates across splits", "error", file, words, ids))
        if len(grades) < 2 and len(labels) < 2 and len(parts) < 2:
            words = f"{begin}; keep one of them."
            found.append(Finding("duplicates", "warning", file, words, ids))
    return found


def _hashes(one: Seen) -> list[tuple[str, str]]:
    known = (("bytes", one.bytes), ("voxels", one.voxels), ("origin", one.origin))
    return [(kind, digest) for kind, digest in known if digest is not None]


def patients(seen: Sequence[Seen]) -> list[Finding]:
    """Patients who are in more than one of the splits that the source (or a split) names."""
    parts: dict[str, dict[str, Seen]] = defaultdict(dict)
    for one in sorted(seen, key=lambda one: one.id):
        if one.part in SPLITS:
            parts[one.patient].setdefault(one.part, one)
    found = []
    for patient, there in parts.items():
        if len(there) > 1:
            where = ", ".join(f"{one.id} in {part}" for part, one in sorted(there.items()))
            words = f"the patient {patient} is in {len(there)} splits ({where}); keep to one."
            ids = tuple(one.id for one in there.values())
            file = next(iter(there.values())).file
            found.append(Finding("patient in two splits", "error", file, words, ids))
    return found
