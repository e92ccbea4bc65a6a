"""Predictions lie on the scans' own grids, whatever those are, and on the right place in them."""

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior.contracts import InputError, Learner
from scanprior.pretext.rotation import Rotation
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.predict import Predict, predict
from scanprior.saved import save_weights
from tests.recipes.scans import AFFINES, trained, write_scans


def assert_same_grid(out: Path, scans: Path, name: str) -> None:
    predicted = nib.load(out / f"{name}.nii.gz")
    source = nib.load(scans / "imagesTr" / f"{name}.nii.gz")
    assert predicted.shape == source.shape
    np.testing.assert_allclose(predicted.affine, source.affine, atol=1e-5)
    assert np.asarray(predicted.dataobj).dtype.kind == "u"


def test_predictions_have_the_source_s_geometry(run: Path, scans: Path, tmp_path: Path) -> None:
    said = predict(Predict(run=run, source=scans, out=tmp_path))
    assert said["predicted"] == len(AFFINES)
    assert said["rejected"] == {}
    for name in AFFINES:
        assert_same_grid(tmp_path, scans, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [*(f"{n}.nii.gz" for n in AFFINES), "model.json"]
    )


def test_slice_by_slice(scans: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, scans, steps=2, slices=True)
    predict(Predict(run=run, source=scans, out=tmp_path / "out", mirror=(1,)))
    for name in AFFINES:
        assert_same_grid(tmp_path / "out", scans, name)


def test_one_scan_and_chosen_cases(run: Path, scans: Path, tmp_path: Path) -> None:
    one = scans / "imagesTr" / "oblique.nii.gz"
    assert predict(Predict(run=run, source=one, out=tmp_path / "one"))["predicted"] == 1
    assert_same_grid(tmp_path / "one", scans, "oblique")
    chosen = Predict(run=run, source=scans, out=tmp_path / "two", cases=("plain", "flipped"))
    assert predict(chosen)["predicted"] == 2
    with pytest.raises(InputError, match="no case 'nobody'"):
        predict(dataclasses.replace(chosen, cases=("nobody",)))
    with pytest.raises(InputError, match="overlap 1"):
        predict(dataclasses.replace(chosen, overlap=1.0))
    with pytest.raises(InputError, match="mirror"):
        predict(dataclasses.replace(chosen, mirror=(3,)))


def test_what_is_there_is_left(run: Path, scans: Path, tmp_path: Path) -> None:
    recipe = Predict(run=run, source=scans, out=tmp_path)
    predict(recipe)
    kept = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    (tmp_path / "plain.nii.gz").unlink()
    said = predict(recipe)
    assert (said["predicted"], said["unchanged"]) == (1, len(AFFINES) - 1)
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert [name for name in kept if kept[name] != after[name]] == ["plain.nii.gz"]


def test_a_broken_scan_is_reported_and_the_others_go_on(run: Path, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "balls", {"plain": AFFINES["plain"], "half": AFFINES["plain"]})
    broken = scans / "imagesTr" / "half.nii.gz"
    broken.write_bytes(broken.read_bytes()[:1000])
    said = predict(Predict(run=run, source=scans, out=tmp_path / "out"))
    assert said["predicted"] == 1
    assert list(said["rejected"]) == ["half"]
    assert "half.nii.gz" in said["rejected"]["half"]
    with pytest.raises(InputError, match="no case could be predicted"):
        predict(Predict(run=run, source=broken, out=tmp_path / "none"))


def test_a_grid_that_no_memory_holds_is_rejected(run: Path, tmp_path: Path) -> None:
    huge = np.diag([1000.0, 1000.0, 1500.0, 1.0])
    scans = write_scans(tmp_path / "balls", {"plain": AFFINES["plain"], "huge": huge})
    said = predict(Predict(run=run, source=scans, out=tmp_path / "out"))
    assert said["predicted"] == 1
    assert "huge.nii.gz: resampled it would have" in said["rejected"]["huge"]


def test_other_channels_are_rejected(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.nii.gz"
    array = np.random.default_rng(0).normal(size=(20, 20, 20, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    with pytest.raises(InputError, match="2 channels, the model was trained on 1"):
        predict(Predict(run=run, source=path, out=tmp_path / "out"))


def test_another_dimension_is_rejected_and_the_others_go_on(run: Path, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "balls", {"plain": AFFINES["plain"]}) / "imagesTr"
    np.save(scans / "flat.npy", np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32))
    # in its own spacing: a model that resamples says so before
    run = changed(run, tmp_path / "model", resolved_spacing=None)
    said = predict(Predict(run=run, source=scans, out=tmp_path / "out"))
    assert said["predicted"] == 1
    assert "2 axes, the model was trained on 3" in said["rejected"]["flat"]


def changed(run: Path, to: Path, **about: object) -> Path:
    """A copy of the run whose model says something else of itself."""
    learner, told = load_finetuned(run)
    save_weights(to / "best.safetensors", learner, told | about)
    return to


def test_scans_need_not_be_named_as_those_of_the_training(run: Path, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "balls", {"nobody": AFFINES["plain"]})
    kept = load_finetuned(run)[1]["prepared"]
    more = {"patient": "^(P[0-9]+)_", "modalities": ["Flair"], "grade_column": "x", "label": "seg"}
    older = changed(run, tmp_path / "model", prepared=kept | more)  # models made before said so
    assert predict(Predict(run=older, source=scans, out=tmp_path / "out"))["predicted"] == 1
    with pytest.raises(InputError, match="patient"):  # unless this user says so
        predict(Predict(run=run, source=scans, out=tmp_path / "b", patient="^(P[0-9]+)_"))


def test_label_maps_of_another_model_are_not_taken_for_this_one_s(
    run: Path, scans: Path, tmp_path: Path
) -> None:
    mine = Predict(run=run, source=scans, out=tmp_path / "out", cases=("plain",))
    predict(mine)
    for other in (
        dataclasses.replace(mine, run=changed(run, tmp_path / "other", note="another")),
        dataclasses.replace(mine, overlap=0.25),
        dataclasses.replace(mine, mirror=(2,)),
    ):
        with pytest.raises(InputError, match="label maps of another model"):
            predict(other)
    again = predict(dataclasses.replace(mine, run=run.resolve(), cases=("plain", "flipped")))
    assert (again["predicted"], again["unchanged"]) == (1, 1)


def test_a_task_without_predictions_is_refused(run: Path, scans: Path, tmp_path: Path) -> None:
    learner, about = load_finetuned(run)
    other = Learner(Rotation(), learner.encoder)
    save_weights(tmp_path / "last.safetensors", other, about | {"task": Rotation()})
    with pytest.raises(InputError, match="Rotation has no predictions"):
        predict(Predict(run=tmp_path, source=scans, out=tmp_path / "out"))


def test_a_folder_without_a_model_is_refused(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        predict(Predict(run=tmp_path, source=scans, out=tmp_path / "out"))


@pytest.mark.slow
def test_the_ball_is_found_where_it_was_drawn(tmp_path: Path) -> None:
    many = {f"{name}{i}": affine for i in range(3) for name, affine in AFFINES.items()}
    run = trained(tmp_path, write_scans(tmp_path / "many", many), steps=100)
    # other seeds than those trained on: the order of the names decides them
    new = write_scans(tmp_path / "new", {f"pad{i}": np.eye(4) for i in range(20)} | AFFINES)
    predict(Predict(run=run, source=new, out=tmp_path / "out", cases=tuple(AFFINES)))
    for name in AFFINES:
        found = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj)
        truth = np.asarray(nib.load(new / "labelsTr" / f"{name}.nii.gz").dataobj)
        dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert dice > 0.8, (name, dice)
        centres = [np.median(np.argwhere(mask), 0) for mask in (found, truth)]
        assert np.abs(centres[0] - centres[1]).max() <= 1, name
