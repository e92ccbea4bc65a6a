"""Which segmentation is the label map of which volume."""

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from scanprior.data.sources.case import Case
from scanprior.data.sources.dicom_header import Header
from scanprior.data.sources.dicom_read import frames_of, read_series


class Segmentations:
    """The segmentations of a tree, by the series that they were drawn on."""

    def __init__(
        self,
        headers: Mapping[Path, Header],
        names: Mapping[Path, str],
        held_by: Mapping[str, str],
        part: str | None,
    ):
        """``held_by``: a series that fell out to the one that holds it; ``part``: of the names of
        the files that count, None for all."""
        self.headers, self.names = headers, names
        self.used = 0
        """How many are some volume's label map."""
        self._of_series: dict[str, list[Path]] = {}
        self._meanings: dict[int, tuple[str, str]] = {}
        """What the first case calls each number, and that case's id."""
        for path, header in headers.items():
            for name in header.drawn_on if part is None or part in path.name else ():
                self._of_series.setdefault(held_by.get(name, name), []).append(path)

    def put(self, series: str, volumes: Sequence[Case]) -> list[Case]:
        """The volumes of ``series``, each with what was drawn on it; reading one on which several
        files were drawn is refused."""
        drawn: dict[int, list[Path]] = {}
        for path in self._of_series.get(series, []):
            at = _drawn_on(volumes, self.headers[path].drawn_images)
            if at is not None:
                drawn.setdefault(at, []).append(path)
        return [
            self._labelled(case, drawn[at]) if at in drawn else case
            for at, case in enumerate(volumes)
        ]

    def _labelled(self, case: Case, paths: Sequence[Path]) -> Case:
        self.used += len(paths)
        once: list[Path] = []
        for path in paths:
            if not any(filecmp.cmp(path, known, shallow=False) for known in once):
                once.append(path)
        shown = " and ".join(self.names[path] for path in once)
        case = replace(case, label=once[0], label_shown=shown, partition="train")
        if len(once) > 1:
            refused = partial(read_series, frames=frames_of(case), several=True)
            return replace(case, load=refused)
        odd = self._otherwise(case.id, self.headers[once[0]])
        return replace(case, remarks=(*case.remarks, *odd))

    def _otherwise(self, case: str, header: Header) -> Iterator[str]:
        for number, meaning in header.segments:
            first, other = self._meanings.setdefault(number, (meaning, case))
            if meaning != first:
                yield (
                    f"its segmentation calls segment {number} otherwise than that of {other} does; "
                    "look whether a number is one class in both"
                )


def _drawn_on(volumes: Sequence[Case], images: frozenset[tuple[str, int | None]]) -> int | None:
    """Which of a series' volumes a segmentation belongs to: the only one, or the only one that it
    names images or frames of; else it could be any one's."""
    there = [at for at, case in enumerate(volumes) if frames_of(case)]
    if len(there) == 1:
        return there[0]
    meant = [
        at
        for at in there
        if any({(f.uid, None), (f.uid, f.number or 0)} & images for f in frames_of(volumes[at]))
    ]
    return meant[0] if len(meant) == 1 else None
