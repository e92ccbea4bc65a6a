"""A data set in the Decathlon's layout: noise with a bright ball whose label is 1."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from scanprior.data.prepare import Prepare, run_prepare
from scanprior.fit import Training
from scanprior.recipes.finetune import Finetune, finetune

TURN = np.array([[0.9553, -0.2955, 0.0], [0.2955, 0.9553, 0.0], [0.0, 0.0, 1.0]])
AFFINES = {
    "plain": np.eye(4),
    "flipped": nib.affines.from_matvec(np.diag([-1.0, -1.0, 1.0]), [20, 30, -5]),
    "turned": nib.affines.from_matvec(
        np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), [1, 2, 3]
    ),
    "oblique": nib.affines.from_matvec(TURN @ np.diag([1.0, 1.1, 0.9]), [-4, 7, 11]),
    "anisotropic": nib.affines.from_matvec(np.diag([0.8, 0.8, 2.0]), [0, 0, 0]),
}


def ball(seed: int, affine: np.ndarray, shape: tuple[int, ...] = (24, 26, 22)) -> tuple:
    """Image and label ``(x, y, z)``; the ball's radius is 6 mm whatever the voxels are."""
    draw = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    centre = np.array(shape) / 2 + draw.uniform(-3, 3, 3)
    inside = (((index - centre) * spacing) ** 2).sum(-1) < 36
    image = draw.normal(size=shape) * 0.3 + 2 * inside
    return image.astype(np.float32), inside.astype(np.uint8)


def write_scans(folder: Path, affines: dict[str, np.ndarray]) -> Path:
    """``imagesTr``, ``labelsTr`` and ``dataset.json``, a case an affine."""
    training = []
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for seed, (name, affine) in enumerate(affines.items()):
        image, label = ball(seed, affine)
        nib.save(nib.Nifti1Image(image, affine), folder / "imagesTr" / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), folder / "labelsTr" / f"{name}.nii.gz")
        training.append(
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        )
    listed = {"name": "balls", "training": training, "test": []}
    (folder / "dataset.json").write_text(json.dumps(listed))
    return folder


def trained(folder: Path, scans: Path, steps: int, *, slices: bool = False) -> Path:
    """The run of a segmenter of these scans; their store lies beside it."""
    run_prepare(Prepare(source=scans, store=folder / "store", spacing=(1.0, 1.0, 1.0), workers=1))
    finetune(
        Finetune(
            store=folder / "store",
            out=folder / "run",
            widths=(4, 8) if steps < 10 else (8, 16, 32),
            spatial_dims=2 if slices else 3,
            crop=(16, 16) if slices else (16, 16, 16),
            validate_every=0 if steps < 10 else 50,
            training=Training(
                steps=steps, batch_size=4, lr=5e-3, warmup=0, precision="32", accelerator="cpu"
            ),
        )
    )
    return folder / "run"
