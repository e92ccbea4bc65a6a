"""What a preparation leaves on disk: arrays, a record that vouches for them, and the index.

Everything is written under a temporary name and renamed, so that a run may be killed at any moment.
"""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from scanprior.alone import used
from scanprior.contracts import InputError
from scanprior.data.kept import parsed, wrong
from scanprior.data.label_names import source_names
from scanprior.data.pairs import parts
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.steps import Prepare, Prepared, apply_steps
from scanprior.data.store import RECORD, write_array, wrong_sizes
from scanprior.whole import replacing, sweep

_FLOAT16_MAX = 65504
_RECORD = RECORD | {
    "source": str | list[str],
    "sha256": str | list[str],
    "label_sha256": str | None,
    "geometry": {"shape_before": list[int], "matrix": list},
    "statistics": {"classes": list[int]},
    "state": list,
    "stored": dict,
}


def check(recipe: Prepare) -> None:
    """Raise :class:`InputError` where the store was begun with other settings, or is no store."""
    path = recipe.store / "recipe.json"
    mine = recipe.to_json()
    if path.is_file():
        # read as a recipe, so that a field which was not there yet has its default
        kept = parsed(path, "give a new folder")
        if (said := wrong({}, kept)) is not None:
            raise InputError(f"{path} is no store's recipe ({said}); give a new folder.")
        try:
            theirs = Prepare.from_json(kept).to_json()
        except InputError as error:
            raise InputError(f"{path} is no store's recipe: {error}") from error
        differ = [
            f"{name} ({theirs.get(name)} there, {value} now)"
            for name, value in mine.items()
            if name != "store" and theirs.get(name) != value
        ]
        if differ:
            raise InputError(
                f"{recipe.store} was made with other settings: {', '.join(differ)}; "
                "give another folder or delete this one."
            )
    elif used(recipe.store):
        raise InputError(f"{recipe.store} holds other files; give a new or an empty folder.")


def claim(recipe: Prepare) -> None:
    """Begin the store, or make sure that it was begun with these settings."""
    check(recipe)
    path = recipe.store / "recipe.json"
    if not path.is_file():  # first: a store that was killed without it would be no store
        write_json(path, recipe.to_json())
    for name in ("volumes", "records"):
        (recipe.store / name).mkdir(parents=True, exist_ok=True)
        sweep(recipe.store / name)


def _state(recipe: Prepare, case: Case, spacing: tuple[float, ...] | None) -> list[Any]:
    """What a record must agree with to be good: the files' sizes and times, and what they are."""
    return json.loads(json.dumps([case.seen(), spacing, case.grade, case.patient, case.partition]))


def done(recipe: Prepare, case: Case, spacing: tuple[float, ...] | None) -> bool:
    """Whether the case was prepared as it is now."""
    path = recipe.store / "records" / f"{case.id}.json"
    try:
        kept = parsed(path)
        whole = wrong(_RECORD, kept) is None and wrong_sizes(kept) is None
        if not whole or kept["id"] != case.id or kept["state"] != _state(recipe, case, spacing):
            return False
        return kept["stored"] == _stored(recipe, case.id, labelled=kept["labelled"])
    except (OSError, InputError):
        return False


def _stored(recipe: Prepare, name: str, *, labelled: bool) -> dict[str, str]:
    """The hash of each of a volume's files, for blosc2's hold no checksum of their own."""
    volumes = recipe.store / "volumes"
    kinds = ("image", "label") if labelled else ("image",)
    return {kind: file_hash(volumes / f"{name}.{kind}.b2nd") for kind in kinds}


def record(recipe: Prepare, case: Case) -> dict[str, Any]:
    """The case's entry of the index."""
    record = json.loads((recipe.store / "records" / f"{case.id}.json").read_text())
    del record["state"]
    return record


def prepare_one(recipe: Prepare, case: Case, spacing: tuple[float, ...] | None) -> str | None:
    """Write one volume: the arrays, then the record that vouches for them. Or say why not."""
    try:
        prepared, record = _read(recipe, case, spacing)
    except InputError as error:
        return str(error)
    except OSError as error:
        why = error if case.shown is None else error.strerror
        return f"{case.called} cannot be read ({why}); restore it or leave it out."
    volumes, path = recipe.store / "volumes", recipe.store / "records" / f"{case.id}.json"
    path.unlink(missing_ok=True)  # from here on the old record vouches for nothing
    _write_volume(volumes / f"{case.id}.image.b2nd", prepared.image.array.astype(np.float16))
    if prepared.label is not None:
        _write_volume(volumes / f"{case.id}.label.b2nd", prepared.label.array[0])
    write_json(path, record | {"stored": _stored(recipe, case.id, labelled=record["labelled"])})
    return None


def _read(
    recipe: Prepare, case: Case, spacing: tuple[float, ...] | None
) -> tuple[Prepared, dict[str, Any]]:
    """One image after all steps, and its record: of the same files, all the time unchanged."""
    state = _state(recipe, case, spacing)
    image, label = case.read()
    try:
        prepared = apply_steps(recipe, image, label, spacing)
    except InputError as error:
        raise InputError(f"{case.called}: {error}") from error
    top = float(np.abs(prepared.image.array).max())
    if top > _FLOAT16_MAX:
        raise InputError(
            f"{case.called} reaches {top:g}, more than float16 holds; change --intensity."
        )
    names = _names(recipe, case)
    record = {
        "id": case.id,
        "patient": case.patient,
        "grade": case.grade,
        "labelled": prepared.label is not None,
        "partition": case.partition,
        "shape": list(prepared.image.array.shape),
        "spacing": list(prepared.image.spacing),
        "source": names[0] if len(names) == 1 else names,
        "sha256": case.sha256(image),
        "label_source": _label_name(recipe, case),
        "label_sha256": None if case.label is None else file_hash(*parts(case.label)),
        "geometry": prepared.geometry,
        "statistics": prepared.statistics,
        "state": state,
    }
    if _state(recipe, case, spacing) != state:
        raise InputError(f"{case.called} changed while it was read; run the same command again.")
    return prepared, record


def _names(recipe: Prepare, case: Case) -> list[str]:
    """What the case's image files are called below the source, without the patient."""
    return list(case.shown or [_relative(path, _base(recipe)) for path in case.images])


def _label_name(recipe: Prepare, case: Case) -> str | None:
    if case.label is None:
        return None
    return case.label_shown or _relative(case.label, _base(recipe))


def _base(recipe: Prepare) -> Path:
    return recipe.source if recipe.source.is_dir() else recipe.source.parent


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def odd_ones(records: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Volumes whose number of channels or axes is not that of most: no batch could hold both."""
    kinds = {i: (record["shape"][0], len(record["shape"]) - 1) for i, record in records.items()}
    if not kinds:
        return {}
    usual = Counter(kinds.values()).most_common(1)[0][0]
    return {
        i: f"it has {kind[0]} channels on {kind[1]} axes, most have {usual[0]} on {usual[1]}; "
        "prepare it on its own."
        for i, kind in kinds.items()
        if kind != usual
    }


def index(
    recipe: Prepare, records: list[dict[str, Any]], spacing: tuple[float, ...] | None
) -> dict[str, Any]:
    """The content of ``index.json``."""
    steps = {k: v for k, v in recipe.to_json().items() if k not in ("store", "source")}
    hashes = [(r["id"], r["sha256"], r["label_sha256"], r["grade"]) for r in records]
    described = json.dumps([steps, spacing, hashes], sort_keys=True)
    highest = max((max(r["statistics"]["classes"], default=-1) for r in records), default=-1)
    return {
        "version": 1,
        "recipe": recipe.to_json(),
        "spacing": spacing,
        "classes": highest + 1,
        "labels": source_names(recipe.source),
        "digest": hashlib.sha256(described.encode()).hexdigest(),
        "volumes": records,
    }


def write_rejected(recipe: Prepare, rejected: dict[Case, str]) -> None:
    """``rejected.json``: id, files and reason; no such file where nothing was rejected."""
    path = recipe.store / "rejected.json"
    if not rejected:
        path.unlink(missing_ok=True)
        return
    listed = [
        {"id": case.id, "source": _sources(recipe, case), "reason": reason}
        for case, reason in rejected.items()
    ]
    write_json(path, listed)


def _sources(recipe: Prepare, case: Case) -> list[str]:
    label = _label_name(recipe, case)
    return [*_names(recipe, case), *([] if label is None else [label])]


def _write_volume(path: Path, array: np.ndarray) -> None:
    with replacing(path) as temporary:
        write_array(temporary, array)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all, and untouched where nothing changed."""
    text = json.dumps(content, indent=1) + "\n"
    if path.is_file() and path.read_text() == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text)
