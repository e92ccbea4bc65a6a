"""A store: a folder of prepared volumes (blosc2, float16) and an index of where each came from.

``STORE/index.json`` is written last and whole; ``STORE/volumes/ID.image.b2nd`` is ``(c, *s)``,
``ID.label.b2nd`` is ``(*s)``, unsigned integers.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import blosc2
import numpy as np

from scanprior.contracts import InputError

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Volume:
    """One stored image; nothing is read from disk before :meth:`read`, and then only the box."""

    id: str
    folder: Path
    record: dict[str, Any]
    """The volume's entry of the index: provenance, geometry before and after, statistics."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(c, *s)``."""
        return tuple(self.record["shape"])

    @property
    def spatial_dims(self) -> int:
        return len(self.shape) - 1

    @property
    def spacing(self) -> tuple[float, ...]:
        """In mm, in the order of the axes of :attr:`shape`."""
        return tuple(self.record["spacing"])

    @property
    def patient(self) -> str:
        return self.record["patient"]

    @property
    def grade(self) -> int | None:
        """The image's class, for classification."""
        return self.record["grade"]

    @property
    def labelled(self) -> bool:
        return bool(self.record["labelled"])

    def read(self, box: Box = ()) -> np.ndarray:
        """The image inside ``box`` (a slice a spatial axis; all of it without one), all channels,
        float16."""
        return self._array("image")[(slice(None), *box)]

    def read_label(self, box: Box = ()) -> np.ndarray:
        """The label map inside ``box`` (all of it without one), unsigned integers."""
        if not self.labelled:
            raise InputError(f"{self.id} in {self.folder} has no label map; use a labelled volume.")
        return self._array("label")[box]

    def _array(self, kind: str) -> Any:
        return blosc2.open(str(self.folder / "volumes" / f"{self.id}.{kind}.b2nd"), mode="r")


class Store(Sequence[Volume]):
    """The volumes of a folder that ``scanprior prepare`` made, sorted by id."""

    def __init__(self, folder: Path):
        index = folder / "index.json"
        if not index.is_file():
            raise InputError(
                f"{folder} is not a store (no index.json); make it with "
                f"scanprior prepare SOURCE {folder}."
            )
        self.folder = folder
        self.header: dict[str, Any] = json.loads(index.read_text())
        for record in self.header["volumes"]:
            if re.fullmatch(r"[\w-][\w.-]*", str(record["id"])) is None:  # part of files' names
                raise InputError(
                    f"{index} holds the id {record['id']!r}, which is no file's name; prepare anew."
                )
        self._volumes = [Volume(r["id"], folder, r) for r in self.header["volumes"]]

    @overload
    def __getitem__(self, i: int) -> Volume: ...
    @overload
    def __getitem__(self, i: slice) -> list[Volume]: ...
    def __getitem__(self, i: int | slice) -> Volume | list[Volume]:
        return self._volumes[i]

    def __len__(self) -> int:
        return len(self._volumes)

    def __iter__(self) -> Iterator[Volume]:
        return iter(self._volumes)

    @property
    def channels(self) -> int:
        return self[0].shape[0]

    @property
    def spatial_dims(self) -> int:
        return self[0].spatial_dims

    @property
    def classes(self) -> int:
        """Label values 0..classes-1, background included; 0 without labels."""
        return int(self.header["classes"])

    @property
    def digest(self) -> str:
        """A hash of the sources' hashes and the preparation's settings: what the data are."""
        return str(self.header["digest"])

    def of(self, ids: Sequence[str]) -> list[Volume]:
        """The volumes with these ids, in this order."""
        by_id = {volume.id: volume for volume in self}
        missing = [i for i in ids if i not in by_id]
        if missing:
            raise InputError(f"{self.folder} holds no volume {missing[0]!r}; make the split anew.")
        return [by_id[i] for i in ids]


def write_array(path: Path, array: np.ndarray, *, block: int = 32) -> None:
    """One array as ``.b2nd``, in blocks that suit random crops of its last axes."""
    lead = max(1, array.ndim - 3) if array.ndim > 2 else 0  # channels, or slices
    blocks = tuple(1 if axis < lead else min(block, size) for axis, size in enumerate(array.shape))
    chunks = tuple(
        1 if axis < lead else min(4 * b, size)
        for axis, (b, size) in enumerate(zip(blocks, array.shape, strict=True))
    )
    held = blosc2.asarray(
        np.ascontiguousarray(array),  # pyright: ignore[reportArgumentType]  # blosc2's stub
        chunks=chunks,
        blocks=blocks,
        contiguous=True,
        cparams={"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1},
    )
    frame = held.to_cframe()  # pyright: ignore[reportAttributeAccessIssue]  # blosc2's stub
    path.write_bytes(frame)  # blosc2 itself does not say why a file cannot be written
