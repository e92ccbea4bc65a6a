"""Medical Segmentation Decathlon, and nnU-Net's raw data: a ``dataset.json`` beside the images."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.contracts import InputError
from scanprior.data.files import PHOTOGRAPH, VOLUME, files_in, stem, suffix
from scanprior.data.kept import parsed, wrong
from scanprior.data.sources.case import Case, Found, Partition, SourceOptions, case_of

NAME = "decathlon"
_CHANNEL = re.compile(r"_\d{4}$")


class Declared(NamedTuple):
    """What a ``dataset.json`` says that the files hold."""

    labels: dict[int, str]
    """Label value to name, which is empty for one that is only part of regions; empty where nothing
    is said."""
    channels: int | None
    """None where nothing is said."""


def recognise(source: Path) -> bool:
    return (source / "dataset.json").is_file()


def cases(source: Path, options: SourceOptions) -> Found:
    """What the JSON lists (Decathlon), or what lies in the folders (nnU-Net, which lists nothing).

    An image ``CASE`` is one file, or its channels ``CASE_0000``, ``CASE_0001``, ... .
    """
    description = _description(source)
    listed = description.get("training")
    if isinstance(listed, list):
        found = [_listed(source, entry, options) for entry in listed]
        rest = description.get("test", [])
        if not isinstance(rest, list):
            raise InputError(f"{source / 'dataset.json'} has a test part that is no list; mend it.")
        found += [_listed(source, entry, options) for entry in rest]
        return Found(found)
    of_training = _in_folders(source, "Tr", "train", options)
    return Found(of_training + _in_folders(source, "Ts", "test", options))


def _description(source: Path) -> dict[str, Any]:
    path = source / "dataset.json"
    try:
        description = parsed(path, "restore it")
    except OSError as error:
        raise InputError(f"{path} is not readable ({error}); restore it.") from error
    if not isinstance(description, dict):
        raise InputError(f"{path} is not a data set's description; restore it.")
    return description


def declared(source: Path) -> Declared:
    """In the words of the Decathlon or of nnU-Net.

    A file that is missing or damaged says nothing here: finding the cases refuses it.
    """
    try:
        said = _description(source)
    except InputError:
        return Declared({}, None)
    channels = said.get("channel_names", said.get("modality"))
    return Declared(
        _labels(said.get("labels")), len(channels) if isinstance(channels, dict) else None
    )


def _labels(said: Any) -> dict[int, str]:
    """Decathlon: value to name. nnU-Net: name to value, or to the values of a region."""
    found: dict[int, str] = {}
    for key, value in said.items() if isinstance(said, dict) else ():
        parts = value if isinstance(value, list) else [value]
        if all(isinstance(part, int) for part in parts):
            for part in parts:
                found[part] = str(key) if len(parts) == 1 else found.get(part, "")
        elif str(key).isdecimal():
            found[int(key)] = str(value)
    return found


def _listed(source: Path, entry: Any, options: SourceOptions) -> Case:
    labelled = isinstance(entry, dict)
    named = entry.get("image") if labelled else entry
    drawn = entry.get("label") if labelled else None
    said = wrong(str, named, "an image") or wrong(str | None, drawn, "a label")
    if not isinstance(named, str) or said is not None:
        raise InputError(f"{source / 'dataset.json'} has an entry of which {said}; correct it.")
    image = source / named
    label = source / drawn if drawn else None
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
