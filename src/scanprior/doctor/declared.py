"""What a ``dataset.json`` says that its files hold: label values, channels, which files."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.data.files import PHOTOGRAPH, VOLUME, files_in
from scanprior.data.sources import Case
from scanprior.doctor.findings import Finding


class Declared(NamedTuple):
    """None where nothing is said."""

    labels: frozenset[int] | None = None
    channels: int | None = None


def declared(source: Path) -> Declared:
    """From ``dataset.json`` in the words of the Decathlon or of nnU-Net.

    A damaged file says nothing here: finding the cases refuses it, with a sentence.
    """
    try:
        said = json.loads((source / "dataset.json").read_text())
    except (OSError, ValueError):
        return Declared()
    if not isinstance(said, dict):
        return Declared()
    channels = said.get("channel_names", said.get("modality"))
    return Declared(
        _labels(said.get("labels")), len(channels) if isinstance(channels, dict) else None
    )


def _labels(said: Any) -> frozenset[int] | None:
    """Decathlon: value to name. nnU-Net: name to value, or to the values of a region."""
    if not isinstance(said, dict):
        return None
    values: set[int] = set()
    for key, value in said.items():
        parts = value if isinstance(value, list) else [value]
        if all(isinstance(part, int) for part in parts):
            values.update(parts)
        elif str(key).isdecimal():
            values.add(int(key))
    return frozenset(values) or None


def unlisted(source: Path, cases: list[Case]) -> list[Finding]:
    """Scans that lie in the folders of a ``dataset.json`` but that it does not name.

    None of DICOM's folders: the file says nothing of them, and their names may say who was scanned.
    """
    hidden = any(case.shown is not None for case in cases)
    if hidden or not (source / "dataset.json").is_file():
        return []
    used = {path.resolve() for case in cases for path in case.files}
    folders = {path.parent.resolve() for case in cases for path in case.files}
    found = []
    for folder in sorted(f for f in folders if f.is_dir()):
        for path in files_in(folder, VOLUME + PHOTOGRAPH, deep=False):
            if path.resolve() not in used:
                said = f"{path} is not named in dataset.json, so it is not used; add or remove it."
                found.append(Finding("unlisted", "warning", path.name, said))
    return found
