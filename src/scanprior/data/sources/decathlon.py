"""Medical Segmentation Decathlon, and nnU-Net's raw data: a ``dataset.json`` beside the images."""

import json
import re
from pathlib import Path
from typing import Any

from scanprior.contracts import InputError
from scanprior.data.files import PHOTOGRAPH, VOLUME, files_in, stem, suffix
from scanprior.data.sources.case import Case, Partition, SourceOptions, case_of

NAME = "decathlon"
_CHANNEL = re.compile(r"_\d{4}$")


def recognise(source: Path) -> bool:
    return (source / "dataset.json").is_file()


def cases(source: Path, options: SourceOptions) -> list[Case]:
    """What the JSON lists (Decathlon), or what lies in the folders (nnU-Net, which lists nothing).

    An image ``CASE`` is one file, or its channels ``CASE_0000``, ``CASE_0001``, ... .
    """
    description = _description(source)
    listed = description.get("training")
    if isinstance(listed, list):
        found = [_listed(source, entry, options) for entry in listed]
        found += [_listed(source, entry, options) for entry in description.get("test", [])]
        return found
    return _in_folders(source, "Tr", "train", options) + _in_folders(source, "Ts", "test", options)


def _description(source: Path) -> dict[str, Any]:
    path = source / "dataset.json"
    try:
        description = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); restore it.") from error
    if not isinstance(description, dict):
        raise InputError(f"{path} is not a data set's description; restore it.")
    return description


def _listed(source: Path, entry: Any, options: SourceOptions) -> Case:
    labelled = isinstance(entry, dict)
    named = entry.get("image") if labelled else entry
    if not isinstance(named, str):
        raise InputError(f"{source / 'dataset.json'} has an entry without an image: {entry!r}.")
    image = source / named
    label = source / entry["label"] if labelled and entry.get("label") else None
    images = (image,)
    if not image.is_file():  # nnU-Net lists the case, not its channels
        pattern = f"{stem(image)}_[0-9][0-9][0-9][0-9]{suffix(image)}"
        images = tuple(sorted(image.parent.glob(pattern)))
    return case_of(stem(image), images or (image,), options, label=label)


def _in_folders(
    source: Path, part: str, partition: Partition, options: SourceOptions
) -> list[Case]:
    folder, labels = source / f"images{part}", source / f"labels{part}"
    if not folder.is_dir():
        return []
    channels: dict[str, list[Path]] = {}
    for path in files_in(folder, VOLUME + PHOTOGRAPH, deep=False):
        channels.setdefault(_CHANNEL.sub("", stem(path)), []).append(path)
    known = {stem(p): p for p in files_in(labels, VOLUME + PHOTOGRAPH)} if labels.is_dir() else {}
    return [
        case_of(
            name,
            tuple(paths),
            options,
            label=known.get(name),
            partition=partition if name in known else "unlabelled",
        )
        for name, paths in channels.items()
    ]
