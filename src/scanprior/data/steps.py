"""The recipe of a store, and what it does to one image. Prediction does the same to new scans."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_type_hints

import numpy as np

from scanprior.contracts import InputError
from scanprior.data import geometry
from scanprior.data.image import Image
from scanprior.data.intensity import Intensity, foreground, scaled, statistics
from scanprior.data.kept import wrong
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.untouched import check_outside
from scanprior.nd import bounding_box


@dataclass(frozen=True, kw_only=True)
class Prepare(SourceOptions):
    """How scans become volumes. Two stores with the same settings hold the same numbers."""

    source: Path
    """The folder (or .npz file, or single scan) to read. Label maps of a plain folder lie in labels
    beside images, or labelsTr beside imagesTr, under the same names."""
    store: Path
    """The folder to write."""
    format: str | None = None
    """decathlon, brats, dicom, folder, hdf5, photographs or medmnist; recognised when not given."""
    spacing: Literal["keep", "median"] | tuple[float, ...] = "keep"
    """Voxel size in mm as superior, anterior, right; or the source's median; or as each scan is."""
    interpolation: Literal["linear", "cubic"] = "linear"
    """Between voxels of images; label maps always take the nearest voxel."""
    crop_foreground: bool = False
    """Cut each scan to the box around its foreground (usual before pretraining)."""
    shape: tuple[int, ...] | None = None
    """Resize every image to this many voxels (the paper: 128 128 128, or 224 224)."""
    intensity: Intensity = "zscore"
    """zscore within the foreground, unit ([0, 1] by percentiles), window (CT), or none."""
    window: tuple[float, float] | None = None
    """The lowest and highest intensity of the CT window, as -160 240."""
    workers: int = os.cpu_count() or 1
    """Processes that work side by side."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON in the store holds them: ``source`` is absolute, ``store`` here,
        ``workers`` left out."""
        plain = json.loads(json.dumps(asdict(self), default=str))
        del plain["workers"]  # they change nothing that is written
        return plain | {"source": str(self.source.resolve()), "store": "."}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Prepare":
        """The recipe that an index holds under ``recipe``.

        Raises :class:`InputError` where it is none.
        """
        kinds = get_type_hints(cls)
        known = {name: kind for name, kind in kinds.items() if name in (*kept, "source", "store")}
        if (said := wrong(known, kept)) is not None:
            raise InputError(f"a preparation is damaged: {said}; prepare anew.")
        values: dict[str, Any] = {}
        for field in (f for f in fields(cls) if f.name in kept):
            value = kept[field.name]
            if field.name in ("source", "store", "grades") and value is not None:
                value = Path(value)
            values[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)


class Prepared(NamedTuple):
    """One image after all steps."""

    image: Image
    """Float32 ``(c, *s)``."""
    label: Image | None
    """``(1, *s)`` on the same grid."""
    geometry: dict[str, Any]
    """What ``geometry.to_source`` needs."""
    statistics: dict[str, Any]


def apply_steps(
    recipe: Prepare, image: Image, label: Image | None, spacing: tuple[float, ...] | None
) -> Prepared:
    """Orientation, crop, intensities, spacing, shape: what a store's volumes went through.

    ``spacing`` is the resolved one (``spacing`` of an index); None keeps the scan's own.
    Raises :class:`InputError` for an image without contrast, or one that the recipe does not fit.
    """
    order = 1 if recipe.interpolation == "linear" else 3
    moved, matrix = geometry.to_ras(image)
    mask = foreground(moved.array)
    numbers = statistics(moved.array, mask)
    if numbers["minimum"] == numbers["maximum"]:
        values = ", ".join(dict.fromkeys(f"{value:g}" for value in numbers["minimum"]))
        raise InputError(f"the image holds {values} and no contrast; leave it out.")
    moved_label = None if label is None else geometry.to_ras(label)[0]
    if recipe.crop_foreground:
        box = bounding_box(mask)
        moved, step = geometry.crop(moved, box)
        matrix = matrix @ step
        mask = mask[box]
        moved_label = moved_label and geometry.crop(moved_label, box)[0]
    normal = scaled(moved.array, mask, recipe.intensity, recipe.window)
    moved = Image(normal, moved.affine, moved.spacing)
    if spacing is not None:
        if image.affine is None:
            raise InputError("a photograph has no size in mm for --spacing; use --shape.")
        if len(spacing) != len(moved.shape):
            raise InputError(f"spacing {spacing} needs {len(moved.shape)} numbers, one an axis.")
        moved, step = geometry.resample(moved, spacing, order)
        matrix = matrix @ step
        moved_label = moved_label and geometry.resample(moved_label, spacing, 0)[0]
    if recipe.shape is not None:
        if len(recipe.shape) != len(moved.shape):
            raise InputError(f"shape {recipe.shape} needs {len(moved.shape)} numbers, one an axis.")
        moved, step = geometry.resize(moved, recipe.shape, order)
        matrix = matrix @ step
        moved_label = moved_label and geometry.resize(moved_label, recipe.shape, 0)[0]
    numbers["classes"] = [] if moved_label is None else np.unique(moved_label.array).tolist()
    return Prepared(moved, moved_label, geometry.record(image, moved, matrix), numbers)


def check(recipe: Prepare) -> None:
    """Raise :class:`InputError` for settings that cannot be, before anything is read."""
    if recipe.workers < 1:
        raise InputError(f"{recipe.workers} workers cannot work; use 1 or more.")
    check_outside(recipe.store, recipe.source, "store")
    if (recipe.window is None) == (recipe.intensity == "window"):
        raise InputError("a window and intensity 'window' go together; give both or neither.")
    if recipe.window is not None and recipe.window[0] >= recipe.window[1]:
        raise InputError(f"window {recipe.window} is empty; give the lower end first.")
    for name, sizes in (("spacing", recipe.spacing), ("shape", recipe.shape)):
        if not isinstance(sizes, tuple):
            continue
        if len(sizes) not in (2, 3) or not all(0 < size < float("inf") for size in sizes):
            raise InputError(f"{name} {sizes} is impossible; give two or three numbers above 0.")
