"""A store: a folder of prepared volumes (blosc2, float16) and an index of where each came from.

``STORE/index.json`` is written last and whole; ``STORE/volumes/ID.image.b2nd`` is ``(c, *s)``,
``ID.label.b2nd`` is ``(*s)``, unsigned integers.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import blosc2
import numpy as np

from scanprior.contracts import InputError
from scanprior.data.kept import parsed, wrong
from scanprior.data.limits import check_size

INDEX = "index.json"
"""What makes a folder a store."""
Box = tuple[slice, ...]
_BROKEN = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, MemoryError)
"""What blosc2 raises for a file that is no array of its own, or a damaged one."""
_CLASSES = 2**16
"""Labels are at most uint16."""
_INDEX = {"classes": int, "volumes": list, "digest": str, "recipe": dict}
RECORD: dict[str, Any] = {
    "id": str,
    "patient": str,
    "grade": int | None,
    "labelled": bool,
    "partition": Literal["train", "val", "test", "unlabelled"],
    "shape": list[int],
    "spacing": list[float],
}
"""What every volume's entry of the index holds at least."""


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
        return self._read("image", self.shape, (slice(None), *box))

    def read_label(self, box: Box = ()) -> np.ndarray:
        """The label map inside ``box`` (all of it without one), unsigned integers."""
        if not self.labelled:
            raise InputError(f"{self.id} in {self.folder} has no label map; use a labelled volume.")
        return self._read("label", self.shape[1:], box)

    def stored(self, kind: str, box: Box = ()) -> np.ndarray:
        """What is on disk inside ``box`` of the ``image`` or ``label``, whatever the index says.

        Raises :class:`InputError` where it cannot be read.
        """
        with self._naming(kind) as path:
            array = mapped(path)
            check_size(math.prod(array.shape), path)
            return array[box]

    def _read(self, kind: str, shape: tuple[int, ...], box: Box) -> np.ndarray:
        with self._naming(kind) as path:
            array = mapped(path)
            if tuple(array.shape) == shape:
                return array[box]
        raise InputError(
            f"{path} has the shape {tuple(array.shape)}, not {shape} as index.json says; "
            "prepare it again."
        )

    @contextmanager
    def _naming(self, kind: str) -> Iterator[Path]:
        path = self.folder / "volumes" / f"{self.id}.{kind}.b2nd"
        try:
            yield path
        except _BROKEN as error:
            said = " ".join(str(error).split())[:150]
            raise InputError(f"{path} cannot be read ({said}); prepare it again.") from error


class Store(Sequence[Volume]):
    """The volumes of a folder that ``scanprior prepare`` made, sorted by id."""

    def __init__(self, folder: Path):
        index = folder / INDEX
        if not index.is_file():
            raise InputError(f"{folder} is not a store (no index.json); {_remedy(folder)}.")
        self.folder = folder
        self.header: dict[str, Any] = _checked(parsed(index, "prepare the store anew"), index)
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
            name = missing[0][:80]  # a damaged split may have one of any length
            raise InputError(f"{self.folder} holds no volume {name!r}; make the split anew.")
        return [by_id[i] for i in ids]


def _remedy(folder: Path) -> str:
    """What to do: the folder may be the scans themselves, which a store must not be put among."""
    if not folder.is_dir() or (folder / "records").is_dir() or not any(folder.iterdir()):
        return f"make it with scanprior prepare SOURCE {folder}"
    return f"if it holds your scans, scanprior prepare {folder} STORE makes one of them"


def withdraw(folder: Path, ids: Iterable[str]) -> None:
    """Take away an index that names one of ``ids``, whose arrays are about to be replaced.

    Whoever is killed in between then leaves no store, and not the old one's digest over other
    numbers. An index that is damaged goes too.
    """
    try:
        stays = {volume.id for volume in Store(folder)}.isdisjoint(ids)
    except InputError:
        stays = False
    if not stays:
        (folder / INDEX).unlink(missing_ok=True)


def _checked(index: Any, path: Path) -> dict[str, Any]:
    """The index; :class:`InputError` where it is none, or names files elsewhere."""
    if (said := wrong(_INDEX | {"spacing": list[float] | None}, index)) is not None:
        raise InputError(f"{path} is damaged ({said}); prepare the store anew.")
    if not index["volumes"] or index["classes"] < 0:
        raise InputError(f"{path} lists no volumes and classes; prepare the store anew.")
    if index["classes"] > _CLASSES:  # a model of so many would take all memory
        raise InputError(
            f"{path} counts {index['classes']:,} classes, more than the {_CLASSES:,} of the "
            "largest label maps; prepare the store anew."
        )
    for number, record in enumerate(index["volumes"]):
        said = wrong(RECORD, record, f"volumes[{number}]") or wrong_sizes(record)
        if said is not None:
            raise InputError(f"{path} is damaged ({said}); prepare the store anew.")
        if re.fullmatch(r"[\w-][\w.-]*", record["id"]) is None:  # part of files' names
            name = ascii(record["id"])[:80]
            raise InputError(f"{path} holds the id {name}, which is no file's name; prepare anew.")
    return index


def wrong_sizes(record: Mapping[str, Any]) -> str | None:
    """What is impossible about the shape, spacing or grade of an entry; None where nothing is."""
    shape, spacing = record["shape"], record["spacing"]
    if len(shape) not in (3, 4) or len(spacing) != len(shape) - 1:
        return f"{record['id'][:80]} has {len(shape)} sides and {len(spacing)} voxel sizes"
    if min(shape) < 1 or max(shape) >= 2**31 or min(spacing) <= 0:
        return f"{record['id'][:80]} has an impossible shape or spacing"
    if (record["grade"] or 0) < 0:
        return f"{record['id'][:80]} has a grade below 0"
    return None


def mapped(path: Path) -> Any:
    """A stored array, to read boxes of. In one thread: a crop is few blocks, and to start and end
    threads for it takes longer than to unpack them."""
    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})


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
