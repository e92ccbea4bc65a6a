"""Brains without skulls, as UK Biobank and BraTS 2018 lay them out: zero outside the brain."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.data.phantoms import radii, smooth, write_scan

SHAPE = (36, 44, 40)
"""Superior, anterior, right; an atlas's grid, the same for every brain."""
BRATS = np.array([[-1.0, 0, 0, 0], [0, -1.0, 0, 239.0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
"""The affine of every BraTS file: left, posterior, superior."""

# Brightness of fluid, grey and white matter, and of a tumour's necrosis, oedema, enhancing rim.
_CONTRASTS = {
    "t1": (0.25, 0.6, 0.9, 0.4, 0.55, 0.6),
    "t1ce": (0.25, 0.6, 0.9, 0.4, 0.55, 1.6),
    "t2": (1.4, 0.8, 0.6, 1.2, 1.1, 0.9),
    "flair": (0.2, 0.7, 0.6, 0.6, 1.3, 1.1),
}


class _Brain(NamedTuple):
    """Two maps ``(*s)`` uint8 of one brain."""

    tissue: np.ndarray
    """0 outside, 1 fluid, 2 grey, 3 white matter: the values of FSL-FAST's segmentation."""
    tumour: np.ndarray
    """0 none, 1 necrosis, 2 oedema, 4 enhancing: the values of BraTS 2018."""


def write_biobank(folder: Path, subjects: int, seed: int) -> None:
    """UK Biobank's fields 20252 (T1) and 20253 (T2-FLAIR), unzipped, a folder a subject.

    ``EID/T1/T1_unbiased_brain.nii.gz``, ``EID/T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz`` on the same
    grid, and FAST's tissues in ``EID/T1/T1_fast/T1_brain_seg.nii.gz``; beside them some of the
    other files of a real folder, which nobody asks for.
    """
    for number in range(subjects):
        draw = np.random.default_rng((seed, 0, number))
        brain = _brain(draw, tumour=False)
        one = folder / str(1_000_000 + number)
        image = _seen(brain, "t1", draw)
        write_scan(one / "T1" / "T1_unbiased_brain.nii.gz", image)
        write_scan(one / "T1" / "T1_brain.nii.gz", image)
        write_scan(one / "T1" / "T1_brain_mask.nii.gz", (brain.tissue > 0).astype(np.uint8))
        write_scan(one / "T1" / "T1_fast" / "T1_brain_seg.nii.gz", brain.tissue)
        write_scan(one / "T1" / "T1_fast" / "T1_brain_pveseg.nii.gz", brain.tissue)
        image = _seen(brain, "flair", draw)
        write_scan(one / "T2_FLAIR" / "T2_FLAIR_unbiased_brain.nii.gz", image)
        write_scan(one / "T2_FLAIR" / "T2_FLAIR_brain.nii.gz", image)


def write_brats(folder: Path, cases: int, seed: int) -> None:
    """BraTS 2018's training part: ``HGG`` and ``LGG``, a folder a case, four modalities and seg."""
    for number in range(cases):
        draw = np.random.default_rng((seed, 1, number))
        brain = _brain(draw, tumour=True)
        name = f"Brats18_TCIA{number + 1:02}_{draw.integers(100, 700)}_1"
        one = folder / ("LGG" if number % 4 == 3 else "HGG") / name
        for modality in _CONTRASTS:
            image = _seen(brain, modality, draw)
            write_scan(one / f"{name}_{modality}.nii.gz", image, BRATS)
        write_scan(one / f"{name}_seg.nii.gz", brain.tumour, BRATS)
    (folder / "survival_data.csv").write_text("BraTS18ID,Age,Survival,ResectionStatus\n")


def _brain(draw: np.random.Generator, tumour: bool) -> _Brain:
    sides = np.array(SHAPE)
    centre = (sides - 1) / 2 + draw.normal(scale=0.7, size=3)
    half = sides * draw.uniform(0.36, 0.42, size=3)
    depth = radii(SHAPE, centre, half) + 0.04 * smooth(SHAPE, 6, draw)
    horns = radii(SHAPE, centre, half * (0.18, 0.45, 0.3)) + 0.08 * smooth(SHAPE, 6, draw)
    tissue = np.select((depth > 1, horns < 1, depth > 0.8), (0, 1, 2), 3).astype(np.uint8)
    label = np.zeros(SHAPE, dtype=np.uint8)
    if tumour:
        place = centre + draw.choice((-1, 1), size=3) * half * (0.2, 0.3, 0.45)
        away = radii(SHAPE, place, half * draw.uniform(0.35, 0.5)) + 0.1 * smooth(SHAPE, 8, draw)
        label = np.select((away < 0.4, away < 0.7, away < 1), (1, 4, 2), 0).astype(np.uint8)
        label[tissue == 0] = 0
    return _Brain(tissue, label)


def _seen(brain: _Brain, modality: str, draw: np.random.Generator) -> np.ndarray:
    """What one sequence shows, ``(*s)`` int16 in a scanner's own units, 0 outside the brain."""
    fluid, grey, white, *ill = _CONTRASTS[modality]
    image = np.array((0, fluid, grey, white), dtype=np.float32)[brain.tissue]
    for value, brightness in zip((1, 2, 4), ill, strict=True):
        image[brain.tumour == value] = brightness
    image *= np.exp(0.1 * smooth(SHAPE, 4, draw))
    image += 0.04 * draw.standard_normal(SHAPE, dtype=np.float32)
    units = np.clip(image * draw.uniform(300, 900), 1, 32767).astype(np.int16)
    return np.where(brain.tissue > 0, units, np.int16(0))
