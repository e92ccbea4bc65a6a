"""BraTS and its like: a folder a case, a file a modality, their order named by the user."""

import re
from collections.abc import Iterable
from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import VOLUME, files_in, stem
from scanprior.data.image import Image
from scanprior.data.sources.case import Case, Found, SourceOptions, case_of, from_files

NAME = "brats"
PRESETS: dict[str, tuple[tuple[str, ...], str]] = {
    "brats2018": (("t1", "t1ce", "t2", "flair"), "seg"),
    "brats2015": (("T1", "T1c", "T2", "Flair"), "OT"),
}
_LABELS = ("seg", "OT")
_USUAL = ("flair", "t1", "t1c", "t1ce", "t2")


def recognise(source: Path) -> bool:
    """A folder below holds files for at least two of the usual modalities."""
    if not source.is_dir():
        return False
    for folder in _folders(source.rglob("*")):
        words = [set(_words(path)) for path in files_in(folder, VOLUME, deep=False)]
        if sum(any(usual in w for w in words) for usual in _USUAL) >= 2:
            return True
    return False


def cases(source: Path, options: SourceOptions) -> Found:
    """A case for every folder that holds all modalities, channels in the order they were named.

    A folder that holds only some is a case that cannot be read, so that it is reported. Raises
    :class:`InputError` where no folder is complete.
    """
    modalities, labels = _wanted(source, options)
    complete, partial = _search(source, modalities)
    if not complete:
        seen = ", ".join(p.name for folder in partial[:1] for p in files_in(folder, VOLUME))
        raise InputError(
            f"{source} has no folder with all of {', '.join(modalities)}"
            + (f" (one holds {seen})" if seen else "")
            + "; name the modalities and their order, as --modalities Flair T1c."
        )
    found = []
    for folder, images in complete.items():
        others = [path for path in files_in(folder, VOLUME) if path not in images]
        hits = (_match(others, name, ()) for name in labels)
        label = next((hit for hit in hits if hit is not None), None)
        found.append(case_of(_name(source, folder), images, options, label=label))
    for folder in partial:
        here = tuple(files_in(folder, VOLUME))
        found.append(case_of(_name(source, folder), here, options, load=_incomplete))
    return Found(found)


def _wanted(source: Path, options: SourceOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    preset = options.preset
    if preset is None and not options.modalities:
        newer = any("t1ce" in _words(path) for path in files_in(source, VOLUME))
        preset = "brats2018" if newer else "brats2015"
    if preset is not None and preset not in PRESETS:
        raise InputError(f"preset {preset!r} is not known; use one of {', '.join(PRESETS)}.")
    modalities, label = PRESETS[preset] if preset else ((), None)
    labels = (options.label,) if options.label else (label,) if label else _LABELS
    return options.modalities or modalities, labels


def _search(
    folder: Path, modalities: tuple[str, ...]
) -> tuple[dict[Path, tuple[Path, ...]], list[Path]]:
    """The deepest folders with all modalities; those with only some and no whole one above."""
    complete: dict[Path, tuple[Path, ...]] = {}
    partial: list[Path] = []
    for inner in _folders(folder.iterdir()):
        inner_complete, inner_partial = _search(inner, modalities)
        complete |= inner_complete
        partial += inner_partial
    if complete:
        return complete, partial
    files = files_in(folder, VOLUME)
    try:
        hits = [_match(files, name, modalities) for name in modalities]
    except InputError:
        if files_in(folder, VOLUME, deep=False):
            raise
        return {}, partial  # a folder of several cases, none of them complete
    whole = tuple(hit for hit in hits if hit is not None)
    if len(whole) == len(modalities):
        return {folder: whole}, []
    return {}, partial or ([folder] if whole else [])


def _folders(paths: Iterable[Path]) -> list[Path]:
    """Neither hidden ones nor links, which could lead up, as :func:`files_in` has it."""
    return sorted(p for p in paths if p.is_dir() and not p.is_symlink() and p.name[0] != ".")


def _match(files: list[Path], name: str, all_names: tuple[str, ...]) -> Path | None:
    """The one file for a modality: a word of its name, else a word's beginning, else any part.

    A file that a longer modality fits (T1c) is not one for a shorter (T1).
    """
    wanted = name.casefold()
    longer = [n.casefold() for n in all_names if len(n) > len(name) and wanted in n.casefold()]
    free = [p for p in files if not any(n in stem(p).casefold() for n in longer)]
    for fits in (
        [p for p in files if wanted in _words(p)],
        [p for p in free if any(word.startswith(wanted) for word in _words(p))],
        [p for p in free if wanted in stem(p).casefold()],
    ):
        if len(fits) > 1:
            raise InputError(
                f"{fits[0].parent} has {len(fits)} files for the modality {name!r} "
                f"({', '.join(p.name for p in fits)}); name it more exactly."
            )
        if fits:
            return fits[0]
    return None


def _words(path: Path) -> list[str]:
    return [word for word in re.split(r"[\W_]+", stem(path).casefold()) if word]


def _name(source: Path, folder: Path) -> str:
    return "_".join(folder.relative_to(source).parts) or folder.resolve().name


def _incomplete(case: Case) -> tuple[Image, Image | None]:
    from_files(case)  # a file that is broken has the better reason
    raise InputError(
        f"{case.images[0].parent} lacks a modality (it holds "
        f"{', '.join(path.name for path in case.images)}); add it or leave the case out."
    )
