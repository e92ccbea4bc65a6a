"""The report's claims, a sentence each."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from scanprior.report.comparisons import SIGNIFICANT
from scanprior.report.results import BASELINES, Row, base
from scanprior.report.words import listed


def findings(compared: Sequence[Row], saved: Sequence[Row], steps: Sequence[Row]) -> list[str]:
    """The report's claims, a sentence each; also where there are none."""
    own = [row for row in compared if row["against"] == "scratch" and _pretrained(row)]
    said = [sentence for _, rows in _by_labels(own) for sentence in _differences(rows)]
    shown = [row for row in saved if row["verdict"] == "saves labels"]
    said += [
        f"{row['start']} at {row['labels']} labels scores what scratch needs "
        f"{row['scratch_needs']:.1f} labels for ({_labels(row, 'needs_low')} to "
        f"{_labels(row, 'needs_high')})."
        for row in shown
    ]
    if saved and all(np.isnan(row["scratch_needs"]) for row in saved):
        said.append("Whether labels are saved cannot be said of any start: see Labels saved.")
    elif saved and not shown:
        said.append("No start is shown to save labels within scratch's curve.")
    said += [
        _first(labels, rows) for labels, rows in _by_labels(steps) if any(map(_pretrained, rows))
    ]
    return said or ["Nothing can be said: there is no start to compare with scratch."]


def _pretrained(row: Row) -> bool:
    return base(row["start"]) not in BASELINES


def _by_labels(rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    return [(n, list(part)) for n, part in groupby(rows, key=lambda row: row["labels"])]


def _differences(rows: Sequence[Row]) -> list[str]:
    known = [row for row in rows if not np.isnan(row["p_holm"])]
    if not known:
        return []
    labels, best = known[0]["labels"], max(known, key=lambda row: row["difference"])
    sure = [row for row in known if row["verdict"] == "better"]
    said = [
        f"At {labels} labels {len(sure)} of {len(known)} starts are better than scratch (p after "
        f"Holm below {SIGNIFICANT} and interval above 0); the largest difference is "
        f"{best['start']}'s, {best['difference']:+.4f} ({best['low']:+.4f} to {best['high']:+.4f})."
    ]
    worse = [row["start"] for row in known if row["verdict"] == "worse"]
    if worse:
        said.append(f"At {labels} labels worse than scratch: {', '.join(worse)}.")
    return said


def _first(labels: int, rows: Sequence[Row]) -> str:
    """Which start is at scratch's last score first, and whether scratch was there before it.

    Shares are compared as they are shown; at its first point a start may have been there before.
    """
    others = [row for row in rows if _pretrained(row) and not np.isnan(row["reached_at_step"])]
    goal = "scratch's final validation score"
    if not others:
        return f"At {labels} labels no pretrained start reaches {goal}."
    soonest = min(row["reached_at_step"] for row in others)
    first = [row for row in others if row["reached_at_step"] == soonest]
    names = listed(row["start"] for row in first)
    are = "is" if len(first) == 1 else "are"
    scratch = next((row for row in rows if row["start"] == "scratch"), None)
    mine, own = (_share(row) if row else "" for row in (first[0], scratch))
    if scratch is None:
        return f"At {labels} labels {names} {are} the first at {goal}, after {mine} of its steps."
    if mine == own:
        return (
            f"At {labels} labels {names} {are} at {goal} when scratch is, after {own} of its steps."
        )
    if scratch["reached_at_step"] < soonest:
        return (
            f"At {labels} labels no pretrained start is at {goal} before scratch, which first is "
            f"after {own} of its steps."
        )
    return (
        f"At {labels} labels {names} {are} the first at {goal}, after {mine} of its steps of "
        f"fine-tuning; scratch first is after {own}."
    )


def _share(row: Row) -> str:
    least = "at most " if row["reached_at_step"] == row["first_point"] else ""
    return f"{least}{row['share_of_scratch']:.0%}"


def _labels(row: Row, end: str) -> str:
    """0 and infinity are beyond scratch's curve."""
    if np.isinf(row[end]):
        return f"more than {row['curve_to']}"
    return f"{row[end]:.1f}" if row[end] else f"fewer than {row['curve_from']}"
