"""Scans of another kind than most of a source."""

from collections import defaultdict
from collections.abc import Sequence

from scanprior.data.checks.findings import Finding
from scanprior.data.checks.seen import Seen

_SHOWN = 4
"""Kinds that one sentence names."""
_Kind = tuple[int, int]
"""The numbers of channels and of axes."""


def channels(seen: Sequence[Seen]) -> list[Finding]:
    """Cases whose number of channels or axes is not that of most: no batch could hold both.

    A finding a case; where no kind is that of more than half, one of all cases.
    """
    kinds: dict[_Kind, list[Seen]] = defaultdict(list)
    for one in seen:
        if one.shape is not None:
            kinds[one.shape[0], len(one.shape) - 1].append(one)
    if len(kinds) < 2:
        return []
    usual = max(kinds, key=lambda kind: len(kinds[kind]))
    if 2 * len(kinds[usual]) <= sum(map(len, kinds.values())):
        return [_no_majority(kinds)]
    return [_other(one, kind, usual) for kind in kinds if kind != usual for one in kinds[kind]]


def _other(one: Seen, kind: _Kind, usual: _Kind) -> Finding:
    words = (
        f"{one.file} has {_said(kind)}, most have {_said(usual)}; convert it, or prepare it on its "
        "own."
    )
    return Finding("channels", "error", one.file, words, (one.id,))


def _no_majority(kinds: dict[_Kind, list[Seen]]) -> Finding:
    said = []
    for kind, (first, *more) in list(kinds.items())[:_SHOWN]:
        has = f"and {len(more)} more have" if more else "has"
        said.append(f"{first.file} {has} {_said(kind)}")
    if len(kinds) > _SHOWN:
        said.append(f"and there are {len(kinds) - _SHOWN} kinds more")
    words = f"{', '.join(said)}: none is the kind of most; prepare each on its own."
    cases = [one for group in kinds.values() for one in group]
    return Finding("channels", "error", cases[0].file, words, tuple(one.id for one in cases))


def _said(kind: _Kind) -> str:
    return f"{kind[0]} channel{'s' * (kind[0] != 1)} on {kind[1]} axes"
