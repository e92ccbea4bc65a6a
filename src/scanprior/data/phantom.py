"""Embedded anatomy for trying things offline: a curved body, head and tail, amid a brain's like.

Every volume is the same anatomy in another person: deformed smoothly, with its own contrast,
texture, bias field and noise. Its numbers say that the machinery works, and nothing of real scans.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from scanprior.data.phantoms import smooth, write_description, write_scan

NAME = "Phantom"
_SIDES = (48, 68, 48)  # of the template, larger than any volume: a deformation may look outside
_BORDER = 0.6  # how far along the body, from the tail, the head begins


class _Anatomy(NamedTuple):
    """The template, each field ``(*s)`` float32 on the grid of ``_SIDES``, in mm or as a share."""

    body: np.ndarray
    """Signed distance to the body's surface, negative inside."""
    along: np.ndarray
    """Position along the body, 0 at the tail's end and 1 at the head's."""
    fluid: np.ndarray
    grey: np.ndarray
    stem: np.ndarray


def coordinates(shape: tuple[int, ...]) -> np.ndarray:
    """``(len(shape), *shape)`` float32; channel i holds every voxel's own index on axis i."""
    return np.indices(shape, dtype=np.float32)


def volume(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image ``(*s)`` int16 and label map ``(*s)`` uint8 (1 head, 2 tail), at 1 mm.

    Axes (superior, anterior, right); about 35 x 50 x 36 voxels. A pure function of its arguments.
    """
    draw = np.random.default_rng(np.random.SeedSequence((seed, number)))
    shape = tuple(int(n) for n in draw.integers((32, 46, 32), (39, 55, 41)))
    fields = _deformed(shape, draw)
    border = _BORDER + draw.normal(scale=0.03)
    label = np.where(fields.body < 0, np.where(fields.along > border, 1, 2), 0).astype(np.uint8)
    return _scanned(fields, draw), label


def write_decathlon(folder: Path, labelled: int, unlabelled: int, seed: int) -> None:
    """Write volumes in the Medical Segmentation Decathlon's layout; the JSON comes last.

    ``labelled`` go to ``imagesTr`` and ``labelsTr``, ``unlabelled`` to ``imagesTs``.
    """
    training, test = [], []
    for number in range(labelled + unlabelled):
        image, label = volume(seed, number)
        name = f"phantom_{number:03}.nii.gz"
        if number < labelled:
            write_scan(folder / "imagesTr" / name, image)
            write_scan(folder / "labelsTr" / name, label)
            training.append(name)
        else:
            write_scan(folder / "imagesTs" / name, image)
            test.append(name)
    structures = ("background", "head", "tail")
    write_description(folder, NAME, "MRI", structures, training, test)


@cache
def _anatomy() -> _Anatomy:
    grid = coordinates(_SIDES)
    z, y, x = (axis - (side - 1) / 2 for axis, side in zip(grid, _SIDES, strict=True))
    # The body's midline rises from the tail, bends sideways and comes down towards the head.
    t = np.linspace(0, 1, 60, dtype=np.float32)
    midline = (6 * np.sin(np.pi * t**1.3) - 3, 34 * t - 18, 6 * np.cos(2.2 * t + 0.5))
    radius = 3.7 + 1.7 * t**2 + 0.7 * np.sin(9 * t)
    body = np.full(_SIDES, np.inf, dtype=np.float32)
    along = np.zeros(_SIDES, dtype=np.float32)
    for a, b, c, r, here in zip(*midline, radius, t, strict=True):
        distance = np.sqrt((1.3 * (z - a)) ** 2 + (y - b) ** 2 + (x - c) ** 2) - r
        along = np.where(distance < body, here, along)
        body = np.minimum(body, distance)
    # A dark horn of fluid along the top, a sheet of grey matter folded below and at one side with
    # the body's own brightness, and a bright stem in the middle: landmarks, and things to confuse.
    horn = np.sqrt((z - 9 + 0.012 * y**2) ** 2 + (x + 3 - 0.15 * y) ** 2) - 3.2
    fold = np.abs(z + 13 + 2.5 * np.sin(0.45 * y) + 2 * np.sin(0.4 * x + 1)) - 3.0
    twin = np.sqrt((1.2 * (z + 6 + 0.1 * y)) ** 2 + (x - 10 + 0.1 * y) ** 2) - 3.6
    stem = np.sqrt((0.5 * z) ** 2 + (0.8 * (y + 12)) ** 2 + (x + 17) ** 2) - 9
    soft = [_inside(d) for d in (horn, np.minimum(fold, twin), stem)]
    return _Anatomy(body, along.astype(np.float32), *soft)


def _inside(distance: np.ndarray) -> np.ndarray:
    """A share of the voxel, 1 deep inside and 0 far outside, from a signed distance in mm."""
    return (1 / (1 + np.exp(np.clip(distance / 0.6, -30, 30)))).astype(np.float32)


def _deformed(shape: tuple[int, ...], draw: np.random.Generator) -> _Anatomy:
    """The template seen through a small turn, a scale and a smooth displacement of some mm."""
    turn = np.eye(3) + draw.normal(scale=0.08, size=(3, 3))
    centre = np.array([(side - 1) / 2 for side in shape]).reshape(3, 1, 1, 1)
    middle = np.array([(side - 1) / 2 for side in _SIDES]).reshape(3, 1, 1, 1)
    shift = draw.normal(scale=1.5, size=(3, 1, 1, 1))
    place = np.einsum("ij,j...->i...", turn, coordinates(shape) - centre) + middle + shift
    place += 1.7 * np.stack([smooth(shape, 5, draw) for _ in range(3)])
    return _Anatomy(
        *(ndimage.map_coordinates(f, place, order=1, mode="nearest") for f in _anatomy())
    )


def _scanned(fields: _Anatomy, draw: np.random.Generator) -> np.ndarray:
    """What a scanner makes of the anatomy: contrast, texture, bias field, noise, its own units."""
    shape = fields.body.shape
    grey = draw.uniform(0.55, 0.7)
    image = np.full(shape, draw.uniform(0.85, 0.95), dtype=np.float32)
    for share, brightness in (
        (fields.stem, draw.uniform(0.95, 1.1)),
        (fields.grey, grey),
        (fields.fluid, draw.uniform(0.15, 0.3)),
        (_inside(fields.body), grey + draw.normal(scale=0.03)),
    ):
        image += share * (brightness - image)
    image += 0.05 * smooth(shape, 12, draw)
    image += 0.2 * ndimage.gaussian_filter(draw.standard_normal(shape, dtype=np.float32), 1.2)
    image *= np.exp(0.18 * smooth(shape, 4, draw))
    noise = draw.uniform(0.05, 0.09) * draw.standard_normal((2, *shape), dtype=np.float32)
    image = np.hypot(image + noise[0], noise[1])  # magnitude images have Rician noise
    return np.clip(image * draw.uniform(300, 900), 0, 32767).astype(np.int16)
