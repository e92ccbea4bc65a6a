"""What a preparation leaves on disk: records that vouch for arrays, the index, what was wrong.

Everything is written under a temporary name and renamed, so that a run may be killed at any moment.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scanprior.alone import used
from scanprior.contracts import InputError
from scanprior.data.checks.findings import Finding
from scanprior.data.kept import parsed, wrong
from scanprior.data.label_names import source_names
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.sources.decathlon import Declared
from scanprior.data.steps import Prepare
from scanprior.data.store import INDEX, RECORD, wrong_sizes
from scanprior.data.unnamed import kept_images, kept_label, kept_source
from scanprior.whole import replacing, sweep

_FINDING = {"severity": str, "check": str, "file": str, "cases": list[str], "sentence": str}
_RECORD = RECORD | {
    "source": str | list[str],
    "sha256": str | list[str],
    "hashed": Literal["files", "voxels"],
    "label_sha256": str | None,
    "geometry": {"shape_before": list[int], "matrix": list},
    "statistics": {"classes": list[int]},
    "state": list,
    "stored": dict,
    "looked": {"voxels": str, "label": str | None, "warnings": list},
}
_OWN = ("state", "looked")
"""What a record holds for the next run, and the index does not."""


@dataclass(frozen=True)
class Plan:
    """What every case is prepared by."""

    recipe: Prepare
    kept: Mapping[str, Any]
    """The recipe as the store holds it."""
    spacing: tuple[float, ...] | None
    """The resolved one, in array order; None keeps each scan's own."""
    said: Declared
    """What the source says of all its files."""


def kept_recipe(recipe: Prepare, cases: Iterable[Case]) -> dict[str, Any]:
    """The recipe of a store of ``cases``, as the store holds it."""
    return recipe.to_json() | {"source": kept_source(recipe.source, cases)}


def check(store: Path, mine: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` where ``store`` was begun with other settings, or is no store."""
    path = store / "recipe.json"
    if path.is_file():
        # read as a recipe, so that a field which was not there yet has its default
        kept = parsed(path, "give a new folder")
        if (said := wrong({}, kept)) is not None:
            raise InputError(f"{path} is no store's recipe ({said}); give a new folder.")
        try:
            theirs = Prepare.from_json(kept).to_json() | {"source": kept["source"]}
        except InputError as error:
            raise InputError(f"{path} is no store's recipe: {error}") from error
        differ = [
            f"{name} ({theirs.get(name)} there, {value} now)"
            for name, value in mine.items()
            if theirs.get(name) != value
        ]
        if differ:
            raise InputError(
                f"{store} was made with other settings: {', '.join(differ)}; "
                "give another folder or delete this one."
            )
    elif used(store):
        raise InputError(f"{store} holds other files; give a new or an empty folder.")


def claim(plan: Plan) -> None:
    """Begin the store, or make sure that it was begun with these settings."""
    store = plan.recipe.store
    check(store, plan.kept)
    path = store / "recipe.json"
    if not path.is_file():  # first: a store that was killed without it would be no store
        write_json(path, plan.kept)
    for name in ("volumes", "records"):
        (store / name).mkdir(parents=True, exist_ok=True)
        sweep(store / name)


def state(plan: Plan, case: Case) -> list[Any]:
    """What a record must agree with to be good: the files' sizes and times, and what they are."""
    said = [sorted(plan.said.labels), plan.said.channels]
    now = [case.stamp(), plan.spacing, case.grade, case.patient, case.partition, said]
    return json.loads(json.dumps(now))


def good(plan: Plan, case: Case) -> dict[str, Any] | None:
    """The case's record, if it was prepared as it is now."""
    try:
        kept = parsed(_path(plan, case))
        whole = wrong(_RECORD, kept) is None and wrong_sizes(kept) is None
        if not whole or kept["id"] != case.id or kept["state"] != state(plan, case):
            return None
        if any(wrong(_FINDING, finding) is not None for finding in kept["looked"]["warnings"]):
            return None
        return kept if kept["stored"] == stored(plan, case, labelled=kept["labelled"]) else None
    except (OSError, InputError):
        return None


def stored(plan: Plan, case: Case, *, labelled: bool) -> dict[str, str]:
    """The hash of each of a volume's files, for blosc2's hold no checksum of their own."""
    arrays = ("image", "label") if labelled else ("image",)
    return {kind: file_hash(array_path(plan, case, kind)) for kind in arrays}


def array_path(plan: Plan, case: Case, kind: str) -> Path:
    """Where a volume's image or label lies."""
    return plan.recipe.store / "volumes" / f"{case.id}.{kind}.b2nd"


def vouch(plan: Plan, case: Case, record: Mapping[str, Any] | None) -> None:
    """Write the case's record; with None, nothing vouches for its arrays any more."""
    path = _path(plan, case)
    if record is None:
        path.unlink(missing_ok=True)
    else:
        write_json(path, record)


def _path(plan: Plan, case: Case) -> Path:
    return plan.recipe.store / "records" / f"{case.id}.json"


def index(plan: Plan, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of ``index.json``."""
    steps = {k: v for k, v in plan.kept.items() if k not in ("store", "source")}
    hashes = [(r["id"], r["sha256"], r["label_sha256"], r["grade"]) for r in records]
    described = json.dumps([steps, plan.spacing, hashes], sort_keys=True)
    highest = max((max(r["statistics"]["classes"], default=-1) for r in records), default=-1)
    return {
        "version": 1,
        "recipe": plan.kept,
        "spacing": plan.spacing,
        "classes": highest + 1,
        "labels": source_names(plan.recipe.source),
        "digest": hashlib.sha256(described.encode()).hexdigest(),
        "volumes": [{k: v for k, v in r.items() if k not in _OWN} for r in records],
    }


def write_rejected(recipe: Prepare, rejected: Mapping[Case, str]) -> None:
    """``rejected.json``: id, files and reason; no such file where nothing was rejected."""
    listed = []
    for case, reason in rejected.items():
        label = kept_label(case, recipe.source)
        files = [*kept_images(case, recipe.source), *([] if label is None else [label])]
        listed.append({"id": case.id, "source": files, "reason": reason})
    _write_list(recipe.store / "rejected.json", listed)


def write_warnings(recipe: Prepare, warnings: Sequence[Finding]) -> None:
    """``warnings.json``, as doctor has findings; no such file where there is none."""
    _write_list(recipe.store / "warnings.json", [finding.to_json() for finding in warnings])


def warned(store: Path) -> set[str]:
    """The sentences of ``warnings.json``, which the last run that ended has told."""
    try:
        listed = parsed(store / "warnings.json")
    except (OSError, InputError):
        return set()  # none, or none that can be told from new ones
    kept = listed if isinstance(listed, list) else []
    return {finding["sentence"] for finding in kept if wrong(_FINDING, finding) is None}


def clear(store: Path, kept: Sequence[dict[str, Any]]) -> None:
    """Remove the arrays and records that are of none of the volumes ``kept``, given by their
    records: what they were of was refused since, or is no longer in the source. Without any
    volume, the index goes as well, and first."""
    if not kept:
        (store / INDEX).unlink(missing_ok=True)
    kinds = {False: ("image",), True: ("image", "label")}
    arrays = {f"{r['id']}.{kind}.b2nd" for r in kept for kind in kinds[bool(r["labelled"])]}
    for path in (store / "volumes").glob("*.b2nd"):
        if path.name not in arrays:
            path.unlink()
    own = {f"{record['id']}.json" for record in kept}
    for path in (store / "records").glob("*.json"):
        if path.name not in own:
            path.unlink()


def _write_list(path: Path, listed: list[dict[str, Any]]) -> None:
    if listed:
        write_json(path, listed)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, and untouched where nothing changed."""
    written = (json.dumps(content, indent=1) + "\n").encode()
    if path.is_file() and path.read_bytes() == written:  # bytes: a damaged file may be no text
        return
    with replacing(path) as temporary:
        temporary.write_bytes(written)
