"""Images on one grid whose axes run another way: turned, for no voxel has to be made up."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.files import read_image
from scanprior.data.sources import SourceOptions
from scanprior.recipes.evaluate import Evaluate, run_evaluate
from tests.data.test_geometry import ORIENTATIONS, SHAPE, affine_of, box_in

MINE = affine_of((0, 1, 2), (1, 1, 1), (1.0, 1.5, 2.0), degrees=10.0)


def turned(array: np.ndarray, order: tuple[int, ...], signs: tuple[int, ...], path: Path) -> None:
    """``array (z, y, x)`` on the grid ``MINE``, stored with its axes in another ``order``."""
    ways = np.array([(axis, sign) for axis, sign in zip(order, signs, strict=True)])
    image = nib.Nifti1Image(np.ascontiguousarray(array.T), MINE)
    path.parent.mkdir(exist_ok=True, parents=True)
    nib.save(image.as_reoriented(ways), path)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_label_map_stored_from_another_corner_is_turned(tmp_path, order, signs):
    label = box_in(SHAPE)
    turned(label * 10.0, (0, 1, 2), (1, 1, 1), tmp_path / "images/a.nii.gz")
    turned(label, order, signs, tmp_path / "labels/a.nii.gz")
    (case,) = sources.find(tmp_path, None, SourceOptions())
    image, read = case.read()
    assert read is not None
    assert np.array_equal(read.array * 10, image.array)
    assert np.allclose(read.affine, image.affine)


def test_so_are_channels_and_predictions_and_doctor_is_content(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(50, 10, SHAPE).astype(np.float32) for _ in range(2)]
    turned(arrays[0], (0, 1, 2), (1, 1, 1), tmp_path / "in/imagesTr/a_0000.nii.gz")
    turned(arrays[1], (2, 0, 1), (1, -1, 1), tmp_path / "in/imagesTr/a_0001.nii.gz")
    turned(box_in(SHAPE), (1, 0, 2), (-1, 1, 1), tmp_path / "in/labelsTr/a.nii.gz")
    turned(box_in(SHAPE), (0, 1, 2), (1, 1, 1), tmp_path / "predictions/a.nii.gz")
    names = '{"channel_names": {"0": "T1", "1": "T2"}, "labels": {"0": 0, "a": 1, "b": 2}}'
    (tmp_path / "in/dataset.json").write_text(names)
    image = read_image(sorted((tmp_path / "in/imagesTr").iterdir()))
    assert np.array_equal(image.array, np.stack(arrays))
    result = run_evaluate(
        Evaluate(
            predictions=tmp_path / "predictions",
            labels=tmp_path / "in/labelsTr",
            out=tmp_path / "scores.csv",
        )
    )
    assert result["dice_mean"] == 1
    cli.main(["doctor", str(tmp_path / "in"), "--out", str(tmp_path / "doctor"), "--workers", "1"])
    assert "errors: 0\nwarnings: 0" in capsys.readouterr().out


def test_one_that_lies_elsewhere_is_refused_as_it_was_given(tmp_path):
    label = box_in(SHAPE)
    turned(label * 10.0, (0, 1, 2), (1, 1, 1), tmp_path / "images/a.nii.gz")
    there = MINE.copy()
    there[:3, 3] += 5
    (tmp_path / "labels").mkdir()
    nib.save(nib.Nifti1Image(np.flip(label, 0).T, there), tmp_path / "labels/a.nii.gz")
    (case,) = sources.find(tmp_path, None, SourceOptions())
    with pytest.raises(InputError, match=r"lies 8\.66 mm beside"):
        case.read()
