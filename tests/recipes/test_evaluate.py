"""Evaluation: files matched by name, refused where they do not fit, and counted where left out."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.recipes.evaluate import Evaluate, run_evaluate


def save(path, array, spacing=(1.0, 1.0, 1.0)):
    """``array`` in (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array.astype(np.uint8), np.diag([*spacing, 1.0])), path)


def block(start, value=1, shape=(16, 18, 20)):
    array = np.zeros(shape, dtype=np.uint8)
    array[start : start + 5, 4:9, 4:9] = value
    return array


@pytest.fixture
def folders(tmp_path):
    """Case a: both classes right. Case b: class 1 shifted by a voxel of 2 mm, class 2 missed."""
    spacing = (2.0, 1.0, 1.0)
    both = block(2) + block(9, 2)
    save(tmp_path / "labels" / "a.nii.gz", both, spacing)
    save(tmp_path / "labels" / "b.nii.gz", both, spacing)
    save(tmp_path / "labels" / "unused.nii.gz", both + block(2, 6), spacing)
    save(tmp_path / "predictions" / "a.nii.gz", both, spacing)
    save(tmp_path / "predictions" / "b.nii.gz", block(3), spacing)
    return tmp_path


def recipe(folder, **fields):
    paths = {name: folder / name for name in ("predictions", "labels")}
    return Evaluate(**paths, out=folder / "new" / "metrics.csv", **fields)


def test_numbers_table_and_file(folders, capsys):
    result = run_evaluate(recipe(folders))
    assert result["dice_per_class"] == {"1": pytest.approx(0.9), "2": 0.5}
    assert result["dice_mean"] == pytest.approx(0.7)
    assert result["hd95_per_class"]["1"] == pytest.approx(1.0)
    diagonal = np.linalg.norm([32, 18, 20])
    assert result["hd95_per_class"]["2"] == pytest.approx(diagonal / 2)
    assert result["nsd_per_class"]["2"] == 0.5
    assert (result["cases"], result["labels_ignored"], result["values_ignored"]) == (2, 1, [])
    low, high = result["intervals"]["dice_mean"]
    assert (low, high) == (pytest.approx(0.4), 1.0)
    assert set(result["intervals"]["nsd_per_class"]) == {"1", "2"}
    table = pd.read_csv(folders / "new" / "metrics.csv")
    assert list(table) == ["case", "class", "dice", "hd95", "nsd"]
    assert table["case"].tolist() == ["a", "a", "b", "b"]
    assert table["dice"].tolist() == pytest.approx([1, 1, 0.8, 0])
    assert [path.name for path in (folders / "new").iterdir()] == ["metrics.csv"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "0.700 (0.400–1.000)" in captured.err
    assert "without a prediction, left out: 1" in captured.err


def test_tolerance_reaches_the_nsd(folders):
    strict = run_evaluate(recipe(folders, tolerance=0.5))["nsd_per_class"]["1"]
    loose = run_evaluate(recipe(folders, tolerance=2.0))["nsd_per_class"]["1"]
    assert strict < loose == 1


def test_regions(folders):
    label = block(2, 4) + block(9, 2)
    for case in "ab":
        save(folders / "labels" / f"{case}.nii.gz", label)
        save(folders / "predictions" / f"{case}.nii.gz", np.where(label == 4, 1, label))
    result = run_evaluate(recipe(folders, regions="brats"))
    assert result["dice_per_class"] == {"ET": 0, "TC": 1, "WT": 1}
    save(folders / "labels" / "b.nii.gz", block(2, 3))
    with pytest.raises(InputError, match=r"b\.nii\.gz holds the label 3, which no region"):
        run_evaluate(recipe(folders, regions="brats"))


def test_a_value_that_no_label_has_is_said(folders, capsys):
    save(folders / "predictions" / "a.nii.gz", block(2) + block(9, 7), (2.0, 1.0, 1.0))
    assert run_evaluate(recipe(folders))["values_ignored"] == [7]
    assert "[7]" in capsys.readouterr().err


def test_other_formats_match_by_name(folders):
    label = sitk.ReadImage(str(folders / "labels" / "a.nii.gz"))
    (folders / "labels" / "a.nii.gz").unlink()
    sitk.WriteImage(label, str(folders / "labels" / "a.mha"))
    assert run_evaluate(recipe(folders))["dice_mean"] == pytest.approx(0.7)


def test_photographs(tmp_path, capsys):
    for name in ("labels", "predictions"):
        (tmp_path / name).mkdir()
        Pillow.fromarray(block(2)[:, :, 5]).save(tmp_path / name / "eye.png")
    assert run_evaluate(recipe(tmp_path))["dice_per_class"] == {"1": 1}
    said = capsys.readouterr().err
    assert "HD95 (pixels)" in said
    assert "mm" not in said


def test_an_impossible_seed_is_refused(folders):
    with pytest.raises(InputError, match="seed -1 is impossible"):
        run_evaluate(recipe(folders, seed=-1))


def test_other_grids_are_refused(folders):
    save(folders / "predictions" / "a.nii.gz", block(2), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"predictions/a\.nii\.gz lies .*/labels/a\.nii\.gz"):
        run_evaluate(recipe(folders))
    save(folders / "predictions" / "a.nii.gz", block(2, shape=(16, 18, 19)), (2.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"predictions/a\.nii\.gz has shape .*/labels/a\.nii\.gz"):
        run_evaluate(recipe(folders))
    assert not (folders / "new").exists()


def test_a_prediction_without_a_label_is_left_out_and_counted(folders, capsys):
    alone = run_evaluate(recipe(folders))
    save(folders / "predictions" / "c.nii.gz", block(2))
    result = run_evaluate(recipe(folders))
    assert result == alone | {"predictions_ignored": 1}
    assert "1 predictions have no label" in capsys.readouterr().err


def test_what_cannot_be_matched_is_refused(folders):
    save(folders / "predictions" / "a.nii", block(2))
    with pytest.raises(InputError, match="the same case"):
        run_evaluate(recipe(folders))


def test_nothing_to_score_is_refused(folders):
    (folders / "none").mkdir()
    fields = {"labels": folders / "labels", "out": folders / "m.csv"}
    with pytest.raises(InputError, match="holds no label maps"):
        run_evaluate(Evaluate(predictions=folders / "none", **fields))
    with pytest.raises(InputError, match="is not a folder"):
        run_evaluate(Evaluate(predictions=folders / "absent", **fields))
    with pytest.raises(InputError, match="name a CSV file"):
        run_evaluate(
            Evaluate(
                predictions=folders / "predictions", labels=folders / "labels", out=folders / "none"
            )
        )
    with pytest.raises(InputError, match="tolerance -1"):
        run_evaluate(recipe(folders, tolerance=-1.0))
    for case in "ab":
        save(folders / "labels" / f"{case}.nii.gz", block(2, 0), (2.0, 1.0, 1.0))
    with pytest.raises(InputError, match="background only"):
        run_evaluate(recipe(folders))
