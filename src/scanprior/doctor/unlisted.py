"""Scans that nothing uses, because the list of a source does not name them."""

from pathlib import Path

from scanprior.data.below import below
from scanprior.data.checks.findings import Finding
from scanprior.data.files import PHOTOGRAPH, VOLUME, files_in
from scanprior.data.sources import Case
from scanprior.data.unnamed import is_unnamed


def unlisted(source: Path, cases: list[Case]) -> list[Finding]:
    """Scans that lie in the folders of a ``dataset.json`` but that it does not name.

    None of DICOM's folders: the file says nothing of them, and their names may say who was scanned.
    """
    if is_unnamed(cases) or not (source / "dataset.json").is_file():
        return []
    used = {path.resolve() for case in cases for path in case.files}
    folders = {path.parent.resolve() for case in cases for path in case.files}
    found = []
    for folder in sorted(f for f in folders if f.is_dir()):
        for path in files_in(folder, VOLUME + PHOTOGRAPH, deep=False):
            if path.resolve() not in used:
                name = below(path, source)
                said = f"{name} is not named in dataset.json, so it is not used; add or remove it."
                found.append(Finding("unlisted", "warning", name, said))
    return found
