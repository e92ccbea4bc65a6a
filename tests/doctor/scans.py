"""A Decathlon of small scans, sound until a test breaks one of its files."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (12, 13, 14)
AFFINE = nib.affines.from_matvec(np.diag([0.9, 0.9, 1.2]), [-3, 5, 7])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def scan(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return (100 + 10 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def label(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def sound(folder: Path, count: int = 3) -> Path:
    """``count`` labelled cases ``c00``, ``c01``, ... with labels 0 to 2, and nothing wrong."""
    training = []
    for i in range(count):
        image, truth = f"imagesTr/c{i:02}.nii.gz", f"labelsTr/c{i:02}.nii.gz"
        save(folder / image, scan(i))
        save(folder / truth, label(i))
        training.append({"image": image, "label": truth})
    describe(folder, training=training)
    return folder


def describe(folder: Path, **said: object) -> None:
    """Write ``dataset.json`` anew, with what is said in place of what it said."""
    path = folder / "dataset.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    usual = {
        "labels": {"0": "background", "1": "front", "2": "back"},
        "modality": {"0": "MRI"},
        "test": [],
    }
    path.write_text(json.dumps(usual | known | said))
