"""Scans of another kind than most of a source."""

from collections import Counter
from collections.abc import Sequence

from scanprior.data.checks.findings import Finding
from scanprior.data.checks.seen import Seen


def channels(seen: Sequence[Seen]) -> list[Finding]:
    """Cases whose number of channels or axes is not that of most: no batch could hold both."""
    kinds = {one.id: (one.shape[0], len(one.shape) - 1) for one in seen if one.shape is not None}
    if len(set(kinds.values())) < 2:
        return []
    usual = Counter(kinds.values()).most_common(1)[0][0]
    found = []
    for one in seen:
        kind = kinds.get(one.id, usual)
        if kind != usual:
            words = (
                f"{one.file} has {kind[0]} channels on {kind[1]} axes, most have {usual[0]} on "
                f"{usual[1]}; convert it, or prepare it on its own."
            )
            found.append(Finding("channels", "error", one.file, words, (one.id,)))
    return found
