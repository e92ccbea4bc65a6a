"""Graded images: a bright disc (a ball in 3D) in noise, larger the higher the grade."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from scanprior.data.prepare import Prepare, run_prepare
from scanprior.fit import Training

TRAINING = Training(steps=2, batch_size=4, warmup=0, log_every=1, precision="32", accelerator="cpu")
LONGER = Training(
    steps=120, batch_size=16, lr=5e-3, warmup=5, log_every=20, precision="32", accelerator="cpu"
)


def discs(n: int, seed: int, *, grades: int = 3, dims: int = 2, side: int = 20) -> tuple:
    """Images ``(n, *s)`` uint8 and grades ``(n,)``, in turn 0, 1, ..."""
    draw = np.random.default_rng(seed)
    truth = np.arange(n) % grades
    axes = np.stack(np.meshgrid(*(np.arange(side),) * dims, indexing="ij"), -1)
    images = []
    for grade in truth:
        away = np.linalg.norm(axes - draw.uniform(side / 2 - 2, side / 2 + 2, dims), axis=-1)
        image = 60 + draw.normal(size=away.shape) * 12 + 90 * (away < 2 + 2.5 * grade)
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(images), truth


def write_photographs(folder: Path, n: int = 24, seed: int = 0) -> Path:
    """PNG files and ``labels.csv``; the last image is the first one under another name."""
    (folder / "images").mkdir(parents=True)
    images, truth = discs(n, seed)
    images[-1], truth[-1] = images[0], truth[0]
    rows = ["image,grade"]
    for i, (image, grade) in enumerate(zip(images, truth, strict=True)):
        Pillow.fromarray(image).save(folder / "images" / f"eye_{i:03}.png")
        rows.append(f"eye_{i:03},{grade}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_volumes(path: Path, n: int = 12) -> Path:
    """A 3D MedMNIST file: all three parts are of ``n`` volumes."""
    arrays = {}
    for seed, part in enumerate(("train", "val", "test")):
        images, truth = discs(n, seed, dims=3, side=12)
        arrays |= {f"{part}_images": images, f"{part}_labels": truth[:, None].astype(np.uint8)}
    np.savez(path, **arrays)
    return path


def prepared(source: Path, store: Path) -> Path:
    run_prepare(Prepare(source=source, store=store, intensity="unit", workers=1))
    return store
