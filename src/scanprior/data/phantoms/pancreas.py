"""Abdominal CT as the Decathlon's task 7 lays it out: pancreas 1, tumour (cancer) 2."""

from pathlib import Path

import numpy as np

from scanprior.data.phantoms import radii, smooth, write_description, write_scan

IN_PLANE, BETWEEN = 0.8, 2.5
"""Voxel sizes in mm, as is usual in that data set: within a slice, and from slice to slice."""
_AIR, _FAT, _MUSCLE, _LIVER, _BONE, _PANCREAS, _TUMOUR = -1024, -100, 55, 110, 450, 95, 55
"""Hounsfield units, in the portal venous phase."""


def write_pancreas(folder: Path, labelled: int, unlabelled: int, seed: int) -> None:
    """``imagesTr`` and ``labelsTr`` (``labelled``), ``imagesTs`` (``unlabelled``), dataset.json."""
    training, test = [], []
    affine = np.diag((IN_PLANE, IN_PLANE, BETWEEN, 1.0))
    for number in range(labelled + unlabelled):
        image, label = _scan(np.random.default_rng((seed, number)))
        name = f"pancreas_{number + 1:03}.nii.gz"
        if number < labelled:
            write_scan(folder / "imagesTr" / name, image, affine)
            write_scan(folder / "labelsTr" / name, label, affine)
            training.append(name)
        else:
            write_scan(folder / "imagesTs" / name, image, affine)
            test.append(name)
    structures = ("background", "pancreas", "cancer")
    write_description(folder, "Pancreas", "CT", structures, training, test)


def _scan(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``(*s)`` int16 in Hounsfield units and uint8; every scan has its own number of slices."""
    shape = (int(draw.integers(20, 29)), 56, 64)
    middle = (np.array(shape) - 1) / 2 + draw.normal(scale=1.0, size=3)
    body = radii(
        shape, middle, (10.0 * shape[0], 22.0, 28.0)
    )  # cut off above and below, as in a CT
    body += 0.02 * smooth(shape, 5, draw)
    liver = radii(shape, middle + np.array((3, 3, 14)), (8.0, 9.0, 9.0))
    spine = radii(shape, middle + np.array((0, -13, 0)), (10.0 * shape[0], 4.0, 4.0))
    # A bent tube from the head beside the spine to the tail at the left.
    t = np.linspace(0, 1, 12)
    line = np.stack((3 * t - 2, 3 - 7 * t**2, 10 - 22 * t), axis=1) + middle
    tube = np.min([radii(shape, place, (2.6, 3.2, 3.2)) for place in line], axis=0)
    lump = radii(shape, line[int(draw.integers(1, 9))], draw.uniform(1.8, 3, size=3))
    label = np.select((lump < 1, tube + 0.1 * smooth(shape, 8, draw) < 1), (2, 1), 0)
    image = np.select(
        (body > 1, label == 2, label == 1, spine < 1, liver < 1, body > 0.85),
        (_AIR, _TUMOUR, _PANCREAS, _BONE, _LIVER, _FAT),
        _MUSCLE,
    )
    image = image + 12 * draw.standard_normal(shape) * (body <= 1)
    return np.clip(image, _AIR, 3071).astype(np.int16), label.astype(np.uint8)
