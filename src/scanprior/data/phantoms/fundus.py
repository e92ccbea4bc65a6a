"""Photographs of the retina as Kaggle's APTOS 2019 and UK Biobank lay them out.

The worse the grade, the more dark and yellow spots: what the real grades count, drawn by hand.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from scanprior.data.phantoms import radii, smooth

GRADES = 5


def write_kaggle(folder: Path, graded: int, ungraded: int, seed: int) -> None:
    """``train.csv`` (id_code, diagnosis) and ``train_images/ID.png``; ``test.csv`` and
    ``test_images`` without grades; and Kaggle's ``sample_submission.csv``, whose grades mean
    nothing. Grades 0 to 4 in turn; pictures of several sizes."""
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(graded + ungraded):
        draw = np.random.default_rng((seed, number))
        part = "train" if number < graded else "test"
        name, grade = draw.bytes(6).hex(), number % GRADES
        _write(folder / f"{part}_images" / f"{name}.png", grade, draw)
        rows[part].append(f"{name},{grade}" if part == "train" else name)
    _table(folder / "train.csv", "id_code,diagnosis", rows["train"])
    _table(folder / "test.csv", "id_code", rows["test"])
    zeros = [f"{name},0" for name in rows["test"]]
    _table(folder / "sample_submission.csv", "id_code,diagnosis", zeros)


def write_biobank_fundus(folder: Path, subjects: int, seed: int) -> None:
    """UK Biobank's fields 21015 and 21016: ``EID_21015_0_0.png`` (left), ``EID_21016_0_0.png``."""
    for number in range(subjects):
        for field in (21015, 21016):
            draw = np.random.default_rng((seed, number, field))
            path = folder / f"{1_000_000 + number}_{field}_0_0.png"
            _write(path, int(draw.integers(GRADES)), draw)


def _write(path: Path, grade: int, draw: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_eye(grade, draw)).save(path)


def _table(path: Path, head: str, rows: list[str]) -> None:
    path.write_text("\n".join((head, *rows)) + "\n")


def _eye(grade: int, draw: np.random.Generator) -> np.ndarray:
    """``(height, width, 3)`` uint8: a lit disc amid black, broader than it is high."""
    height = int(draw.integers(64, 97))
    shape = (height, int(height * draw.uniform(1.2, 1.5)))
    middle = (np.array(shape) - 1) / 2
    away = radii(shape, middle, (0.47 * height,) * 2)
    light = draw.uniform(0.8, 1.1) * (1 - 0.25 * away**2) * np.exp(0.05 * smooth(shape, 5, draw))
    image = light[..., None] * draw.normal((190, 95, 45), (12, 8, 6))
    disc = radii(shape, middle + np.array((0, 0.27 * height)), (0.07 * height,) * 2)
    image = np.where((disc < 1)[..., None], (235, 190, 120), image)
    for _ in range(6 * grade):
        angle, far = draw.uniform(0, 2 * np.pi), 0.4 * height * np.sqrt(draw.uniform())
        place = middle + far * np.array((np.sin(angle), np.cos(angle)))
        spot = radii(shape, place, draw.uniform(0.012, 0.03, size=2) * height)
        colour = (90, 20, 15) if draw.uniform() < 0.6 else (225, 200, 90)
        image = np.where((spot < 1)[..., None], colour, image)
    image = image + draw.normal(scale=3, size=image.shape)
    return np.where((away < 1)[..., None], image.clip(0, 255), 0).astype(np.uint8)
