"""MedMNIST: one ``.npz`` with images and labels of a training, a validation and a test part."""

import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from scanprior.contracts import InputError
from scanprior.data.image import Image
from scanprior.data.sources.case import Case, Found, Partition, SourceOptions, case_of

NAME = "medmnist"
_PARTS: tuple[Partition, ...] = ("train", "val", "test")


def recognise(source: Path) -> bool:
    return source.is_file() and source.suffix == ".npz"


def cases(source: Path, options: SourceOptions) -> Found:
    """A case an image, with its part; grades where there is one whole number an image."""
    found: list[Case] = []
    for part in _PARTS:
        labels = _array(source, f"{part}_labels")
        flat = labels.reshape(len(labels), -1)
        graded = flat.shape[1] == 1 and flat.dtype.kind in "iu"  # ChestMNIST has 14 findings
        for row in range(len(labels)):
            grade = int(flat[row, 0]) if graded else None
            found.append(
                case_of(
                    f"{part}_{row:06d}",
                    (source,),
                    options,
                    grade=grade,
                    partition=part if graded else "unlabelled",
                    load=_row,
                    row=row,
                )
            )
    return Found(found)


def _row(case: Case) -> tuple[Image, None]:
    images = _array(case.images[0], f"{case.id.split('_')[0]}_images")
    pixels = images[case.row]
    volume = pixels.shape[-1] != 3 and len(pixels.shape) > 2  # (D, H, W) against (H, W, colour)
    coloured = len(pixels.shape) > 2 and not volume
    array = np.moveaxis(pixels, -1, 0) if coloured else pixels[None]
    return Image(array.astype(np.float32), None, (1.0,) * (len(array.shape) - 1)), None


@lru_cache(maxsize=2)
def _array(path: Path, name: str) -> np.ndarray:
    try:
        # said, though it is numpy's default: an array of Python objects would run their code
        with np.load(path, allow_pickle=False) as members:
            return members[name]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a MedMNIST file ({error}); it needs images and labels of all parts."
        ) from error
