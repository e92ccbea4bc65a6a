"""Phantoms of the paper's data sets, each written in the real one's layout, and what they share.

Small, quick and alike in what a reader must cope with (files, folders, grids, labels, units); their
anatomy is a cartoon, and no number measured on them says anything of real scans.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from scanprior.whole import replacing

UPRIGHT = np.eye(4)
"""The affine of a scan of 1 mm voxels whose file runs right, anterior, superior."""


def write_scan(path: Path, array: np.ndarray, affine: np.ndarray = UPRIGHT) -> None:
    """Write ``array`` (axes superior, anterior, right) as NIfTI (right, anterior, superior).

    ``affine`` is of the file's order of axes, in mm; folders are made where they lack.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(array.T), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def write_description(
    folder: Path,
    name: str,
    modality: str,
    structures: Sequence[str],
    training: Sequence[str],
    test: Sequence[str],
) -> None:
    """Write the Decathlon's ``dataset.json``, the last file of the layout.

    ``structures`` are the names of the label values 0, 1, ...; ``training`` and ``test`` are the
    names of the files in ``imagesTr`` (and ``labelsTr``) and in ``imagesTs``.
    """
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    description = {
        "name": name,
        "description": "Synthetic anatomy; no person was scanned",
        "tensorImageSize": "3D",
        "modality": {"0": modality},
        "labels": {str(value): said for value, said in enumerate(structures)},
        "numTraining": len(training),
        "numTest": len(test),
        "training": [
            {"image": f"./imagesTr/{file}", "label": f"./labelsTr/{file}"} for file in training
        ],
        "test": [f"./imagesTs/{file}" for file in test],
    }
    with replacing(folder / "dataset.json") as temporary:
        temporary.write_text(json.dumps(description, indent=1) + "\n")


def smooth(shape: tuple[int, ...], knots: int, draw: np.random.Generator) -> np.ndarray:
    """A random field ``(*s)`` of unit deviation that varies over ``1/knots`` of the image."""
    field = draw.normal(size=(knots,) * len(shape)).astype(np.float32)
    for side in shape:  # separable: an axis at a time, which moves to the end
        place = np.linspace(0, knots - 1, side, dtype=np.float32)[:, None]
        weights = np.exp(-2 * (place - np.arange(knots, dtype=np.float32)) ** 2)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        field = np.tensordot(field, weights, axes=(0, 1))
    return field


def radii(
    shape: tuple[int, ...], centre: np.ndarray | Sequence[float], half: np.ndarray | Sequence[float]
) -> np.ndarray:
    """``(*s)`` float32: how far each voxel is from ``centre``, 1 on the ellipsoid of half axes
    ``half``; all in voxels."""
    grid = np.indices(shape, dtype=np.float32)
    parts = [((g - c) / h) ** 2 for g, c, h in zip(grid, centre, half, strict=True)]
    return np.sqrt(np.sum(parts, axis=0, dtype=np.float32))
