"""The phantoms of the paper's data sets: layouts as the real ones, and every label learnable."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scanprior.data.files import read_image, read_label
from scanprior.data.phantoms import radii
from scanprior.data.phantoms.brain import write_biobank, write_brats
from scanprior.data.phantoms.fundus import write_biobank_fundus, write_kaggle
from scanprior.data.phantoms.pancreas import write_pancreas


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 13)])
def test_radii_are_one_on_the_ellipsoid(shape: tuple[int, ...]) -> None:
    centre, half = tuple((side - 1) / 2 for side in shape), tuple(side / 4 for side in shape)
    away = radii(shape, centre, half)
    assert away[tuple(side // 2 for side in shape)] == 0
    for axis, side in enumerate(shape):
        place = [s // 2 for s in shape]
        place[axis] = 0
        assert away[tuple(place)] == pytest.approx((side - 1) / 2 / (side / 4))


def test_biobank(tmp_path: Path) -> None:
    write_biobank(tmp_path, subjects=2, seed=0)
    one = tmp_path / "1000000"
    t1 = read_image([one / "T1/T1_unbiased_brain.nii.gz"])
    flair = read_image([one / "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz"])
    tissue = read_label(one / "T1/T1_fast/T1_brain_seg.nii.gz").array[0]
    assert t1.shape == flair.shape == tissue.shape
    assert set(np.unique(tissue)) == {0, 1, 2, 3}
    assert (t1.array[0][tissue == 0] == 0).all(), "the skull is stripped"
    means = [t1.array[0][tissue == k].mean() for k in (1, 2, 3)]
    assert means == sorted(means), "T1: fluid dark, white matter bright"


def test_brats(tmp_path: Path) -> None:
    write_brats(tmp_path, cases=4, seed=0)
    folders = sorted(p for p in tmp_path.glob("*/*") if p.is_dir())
    assert [p.parent.name for p in folders] == ["HGG"] * 3 + ["LGG"]
    for folder in folders:
        parts = ("flair", "t1", "t1ce", "t2", "seg")
        assert names(folder) == {f"{folder.name}_{part}.nii.gz" for part in parts}
        label = nib.load(folder / f"{folder.name}_seg.nii.gz")
        assert isinstance(label, nib.Nifti1Image)
        assert nib.aff2axcodes(label.affine) == ("L", "P", "S")
        values = np.asarray(label.dataobj)
        assert set(np.unique(values)) == {0, 1, 2, 4}
        enhanced = read_image([folder / f"{folder.name}_t1ce.nii.gz"]).array[0]
        truth = read_label(folder / f"{folder.name}_seg.nii.gz").array[0]
        assert enhanced[truth == 4].mean() > 1.5 * enhanced[truth == 2].mean()


def test_pancreas(tmp_path: Path) -> None:
    write_pancreas(tmp_path, labelled=3, unlabelled=1, seed=0)
    told = json.loads((tmp_path / "dataset.json").read_text())
    assert told["labels"] == {"0": "background", "1": "pancreas", "2": "cancer"}
    assert told["modality"] == {"0": "CT"}
    assert told["test"] == ["./imagesTs/pancreas_004.nii.gz"]
    for entry in told["training"]:
        image = read_image([tmp_path / entry["image"]])
        label = read_label(tmp_path / entry["label"])
        assert image.spacing == pytest.approx((2.5, 0.8, 0.8))
        assert set(np.unique(label.array)) == {0, 1, 2}
        assert image.array.min() == -1024
        organ = image.array[label.array == 1].mean()
        assert organ > image.array[label.array == 2].mean() + 20, "the tumour is darker"


def test_kaggle(tmp_path: Path) -> None:
    write_kaggle(tmp_path, graded=10, ungraded=2, seed=0)
    train, test = pd.read_csv(tmp_path / "train.csv"), pd.read_csv(tmp_path / "test.csv")
    assert list(train) == ["id_code", "diagnosis"]
    assert list(test) == ["id_code"]
    assert sorted(train["diagnosis"]) == sorted([*range(5)] * 2)
    assert names(tmp_path / "train_images") == {f"{i}.png" for i in train["id_code"]}
    assert names(tmp_path / "test_images") == {f"{i}.png" for i in test["id_code"]}
    pictures = {path.stem: opened(path) for path in tmp_path.glob("*/*.png")}
    assert len({picture.shape for picture in pictures.values()}) > 3
    spots = []
    for grade in (0, 4):  # dark spots amid the lit disc
        (first, *_) = train.loc[train["diagnosis"] == grade, "id_code"]
        red, green, _ = np.moveaxis(pictures[first].astype(int), -1, 0)
        spots.append(int(((red > 60) & (3 * green < red + 20)).sum()))
    assert spots[1] > spots[0] + 10


def test_biobank_fundus(tmp_path: Path) -> None:
    write_biobank_fundus(tmp_path, subjects=2, seed=0)
    assert names(tmp_path) == {
        f"{eid}_{field}_0_0.png" for eid in (1000000, 1000001) for field in (21015, 21016)
    }


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_biobank(folder, 1, 3),
        lambda folder: write_brats(folder, 1, 3),
        lambda folder: write_pancreas(folder, 1, 1, 3),
        lambda folder: write_kaggle(folder, 2, 1, 3),
        lambda folder: write_biobank_fundus(folder, 1, 3),
    ],
)
def test_the_same_seed_gives_the_same_files(write: Callable[[Path], None], tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        write(tmp_path / name)
        digests.append(
            {
                n: hashlib.sha256((tmp_path / name / n).read_bytes()).hexdigest()
                for n in names(tmp_path / name)
            }
        )
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) > 1
