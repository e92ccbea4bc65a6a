"""A store, volume by volume: readable, as recorded, and split without shared patients."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.checks import rules
from scanprior.data.checks.findings import Finding
from scanprior.data.checks.look import told
from scanprior.data.checks.seen import Seen, voxel_hash
from scanprior.data.sources.case import file_hash
from scanprior.data.split import Split
from scanprior.data.store import Store, Volume
from scanprior.doctor.see import levels


def is_store(source: Path) -> bool:
    return (source / "index.json").is_file()


def parts(store: Store, split: Path | None) -> dict[str, str]:
    """Each volume's split: that of the file, or of the store's ``split.json``, or its source's."""
    own = split or store.folder / "split.json"
    found = {volume.id: str(volume.record.get("partition", "unlabelled")) for volume in store}
    if split is None and not own.is_file():
        return found
    divided = Split.load(own)
    for part, ids in (("train", divided.train), ("val", divided.validation)):
        found.update(dict.fromkeys(ids, part))
    return found | dict.fromkeys(divided.test, "test")


def strays(store: Store, split: Path | None) -> list[Finding]:
    """Arrays that no entry names, and ids of a split that are no volume's."""
    known = {volume.id for volume in store}
    found = []
    for path in sorted((store.folder / "volumes").glob("*.b2nd")):
        if path.name.removesuffix(".b2nd").rpartition(".")[0] not in known:
            said = f"{path.name} is not in index.json; remove it, or prepare again."
            found.append(Finding("unlisted", "warning", f"volumes/{path.name}", said))
    for name in sorted(parts(store, split).keys() - known):
        said = f"the split names {name[:80]!r}, which the store does not hold; make the split anew."
        found.append(Finding("unknown volume", "error", "split.json", said))
    return found


def look_stored(volume: Volume, parts: dict[str, str], classes: int) -> Seen:
    """Everything that can be said of one volume; ``parts`` is each volume's split."""
    name = f"volumes/{volume.id}.image.b2nd"
    hashed = json.dumps(volume.record["sha256"]) if "sha256" in volume.record else None
    by_bytes = volume.record.get("hashed") == "files"
    begun = Seen(
        id=volume.id,
        file=name,
        patient=volume.patient,
        part=parts[volume.id],
        grade=volume.record.get("grade"),
        spacing=volume.spacing if all(size > 0 for size in volume.spacing) else None,
        bytes=hashed if by_bytes else None,
        origin=None if by_bytes else hashed,
    )
    image = read_whole(volume, "image")
    if isinstance(image, Finding):
        return replace(begun, findings=told(begun.id, [image]))
    same = rules.constant(name, image) if image.size else None
    broken = rules.not_finite(name, image)
    found = [as_recorded(name, image.shape, volume.shape), same, broken]
    if not any(found):
        found.append(as_written(volume, "image"))
    found.append(rules.spacing(name, volume.spacing))
    label: np.ndarray | None = None
    if volume.labelled:
        label_name = f"volumes/{volume.id}.label.b2nd"
        read = read_whole(volume, "label")
        if isinstance(read, Finding):
            found.append(read)
        else:
            label = read
            wrong = [
                as_recorded(label_name, label.shape, volume.shape[1:]),
                stored_label(label_name, label, classes),
            ]
            found += wrong if any(wrong) else [as_written(volume, "label")]
    return replace(
        begun,
        shape=image.shape,
        levels=levels(image.astype(np.float32)) if image.size and not (same or broken) else (),
        voxels=None if same or not image.size else voxel_hash(image),
        label=None if label is None else voxel_hash(label),
        findings=told(begun.id, found),
    )


def read_whole(volume: Volume, kind: str) -> "np.ndarray | Finding":
    """All of a volume's array, or why there is none."""
    name = f"volumes/{volume.id}.{kind}.b2nd"
    absent = rules.file_there(volume.folder / name, name)
    if absent is not None:
        return absent
    try:
        return volume.stored(kind)
    except InputError as error:
        said = str(error).replace(str(volume.folder / name), name)
        return Finding("unreadable", "error", name, said)


def as_recorded(name: str, shape: tuple[int, ...], recorded: tuple[int, ...]) -> Finding | None:
    """An array that has not the shape that the index gives it."""
    if tuple(shape) == tuple(recorded):
        return None
    said = f"{name} has shape {tuple(shape)}, but index.json says {tuple(recorded)}; prepare again."
    return Finding("not as recorded", "error", name, said)


def as_written(volume: Volume, kind: str) -> Finding | None:
    """A file whose bytes are not those that prepare or autolabel wrote: its numbers changed."""
    name = f"volumes/{volume.id}.{kind}.b2nd"
    stored = volume.record.get("stored", {}).get(kind)  # a store made before has none
    if stored is None or file_hash(volume.folder / name) == stored:
        return None
    said = f"{name} is not as it was written, so its numbers may be wrong; prepare again."
    return Finding("not as recorded", "error", name, said)


def stored_label(name: str, label: np.ndarray, classes: int) -> Finding | None:
    """Labels that are no whole numbers from 0, or beyond the store's classes."""
    if label.dtype.kind != "u":
        said = f"{name} holds {label.dtype}, not whole numbers from 0; prepare it again."
        return Finding("float label", "error", name, said)
    top = int(label.max(initial=0))
    if top < classes:
        return None
    said = f"{name} holds the label {top}, but the store has {classes} classes; prepare it again."
    return Finding("label values", "error", name, said)


def pictured(volume: Volume) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The stored image ``(c, *s)`` and label ``(*s)``, None for what cannot be read."""
    image = read_whole(volume, "image")
    label = read_whole(volume, "label") if volume.labelled else None
    return (
        None if isinstance(image, Finding) else image,
        None if isinstance(label, Finding) else label,
    )
