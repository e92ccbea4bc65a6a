"""A store is made once, in parallel, continues after a kill, and says what it could not read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data import convert, prepare
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.split import Split
from scanprior.data.store import Store
from tests.conftest import real


def scans(folder, n=4, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        sizes = np.diag([1.0, 1.0, 2.0 if i else 4.0, 1.0])
        image = rng.normal(100, 20, (12, 14, 10)).astype(np.float32)
        label = rng.integers(0, 3, (12, 14, 10)).astype(np.uint8)
        nib.save(nib.Nifti1Image(image, sizes), folder / f"images/s{i}.nii.gz")
        nib.save(nib.Nifti1Image(label, sizes), folder / f"labels/s{i}.nii.gz")
    return folder


def recipe(tmp_path, **settings):
    usual = {"source": tmp_path / "in", "store": tmp_path / "out", "workers": 1}
    return Prepare(**usual | settings)


def times(store):
    return {p: p.stat().st_mtime_ns for p in sorted(store.rglob("*")) if p.is_file()}


def test_labels_and_grades_are_counted(tmp_path):
    scans(tmp_path / "in")
    (tmp_path / "in/labels/s2.nii.gz").unlink()
    summary = run_prepare(recipe(tmp_path))
    assert (summary["volumes"], summary["labelled"], summary["graded"]) == (4, 3, 0)
    (tmp_path / "eyes").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (3, 20, 20), np.uint8)
    for name, photograph in zip("abc", pixels, strict=True):
        Pillow.fromarray(photograph).save(tmp_path / "eyes" / f"{name}.png")
    (tmp_path / "eyes/grades.csv").write_text("image,grade\na,1\nb,0\n")
    summary = run_prepare(recipe(tmp_path, source=tmp_path / "eyes", store=tmp_path / "graded"))
    assert (summary["volumes"], summary["labelled"], summary["graded"]) == (3, 0, 2)


def test_a_store_holds_what_was_read(tmp_path):
    scans(tmp_path / "in")
    summary = run_prepare(recipe(tmp_path))
    assert (summary["volumes"], summary["rejected"], summary["classes"]) == (4, 0, 3)
    assert (summary["labelled"], summary["graded"]) == (4, 0)
    store = Store(tmp_path / "out")
    volume = store[1]
    whole = (slice(None),) * 3
    raw = nib.load(tmp_path / "in/images/s1.nii.gz").get_fdata().T
    assert volume.read(whole).dtype == np.float16
    assert np.allclose(volume.read(whole)[0], (raw - raw.mean()) / raw.std(), atol=4e-3)
    label = nib.load(tmp_path / "in/labels/s1.nii.gz").get_fdata().T
    assert np.array_equal(volume.read_label(whole), label)
    assert volume.spacing == (2, 1, 1)
    assert volume.record["source"] == "images/s1.nii.gz"
    assert volume.record["statistics"]["mean"][0] == pytest.approx(raw.mean(), rel=1e-5)
    assert Prepare.from_json(store.header["recipe"]).to_json() == recipe(tmp_path).to_json()
    assert len(Split.make(store, validation=0.25).train) == 3


def test_the_second_run_does_nothing_and_a_changed_file_is_done_again(tmp_path):
    scans(tmp_path / "in")
    run_prepare(recipe(tmp_path))
    before = times(tmp_path / "out")
    digest = Store(tmp_path / "out").digest
    again = run_prepare(recipe(tmp_path, workers=2))
    assert (again["prepared"], again["unchanged"]) == (0, 4)
    assert times(tmp_path / "out") == before
    path = tmp_path / "in/images/s2.nii.gz"
    other = np.random.default_rng(9).normal(size=(12, 14, 10))
    nib.save(nib.Nifti1Image(other, np.diag([1, 1, 2, 1])), path)
    assert run_prepare(recipe(tmp_path))["prepared"] == 1
    assert Store(tmp_path / "out").digest != digest


@pytest.mark.parametrize("kind", ["image", "label"])
def test_an_array_that_changed_is_written_again(tmp_path, kind):
    scans(tmp_path / "in")
    run_prepare(recipe(tmp_path))
    one, two = (tmp_path / f"out/volumes/{name}.{kind}.b2nd" for name in ("s1", "s2"))
    whole = one.read_bytes(), two.read_bytes()
    changed = bytearray(whole[0])
    changed[-40] ^= 1
    one.write_bytes(bytes(changed))
    two.unlink()
    again = run_prepare(recipe(tmp_path))
    assert (again["prepared"], again["unchanged"]) == (2, 2)
    assert (one.read_bytes(), two.read_bytes()) == whole


def test_other_settings_are_refused_by_name(tmp_path):
    scans(tmp_path / "in", 1)
    run_prepare(recipe(tmp_path))
    with pytest.raises(InputError, match=r"intensity \(zscore there, unit now\)"):
        run_prepare(recipe(tmp_path, intensity="unit"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="other files"):
        run_prepare(recipe(tmp_path, store=tmp_path / "mine"))
    for text in ("{", "[]", "3", '{"source": 3}'):
        (tmp_path / "out/recipe.json").write_text(text)
        with pytest.raises(InputError, match=r"out/recipe\.json is no") as said:
            run_prepare(recipe(tmp_path))
        assert str(said.value).count(";") == 1, "two things to do"


def test_a_store_from_before_a_setting_was_there_goes_on(tmp_path):
    scans(tmp_path / "in", 1)
    run_prepare(recipe(tmp_path))
    path = tmp_path / "out" / "recipe.json"
    kept = json.loads(path.read_text())
    del kept["straighten"]
    path.write_text(json.dumps(kept))
    assert run_prepare(recipe(tmp_path))["prepared"] == 0
    with pytest.raises(InputError, match=r"straighten \(False there, True now\)"):
        run_prepare(recipe(tmp_path, straighten=True))


@pytest.mark.parametrize("settings", [{"spacing": (1.0, 1.0, 1.0)}, {"shape": (99999,) * 3}])
def test_a_grid_that_no_memory_holds_is_refused(tmp_path, settings):
    scans(tmp_path / "in", 2)
    for part in ("images", "labels"):
        path = tmp_path / f"in/{part}/s0.nii.gz"
        image = np.asanyarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(image, np.diag([1e3, 1e3, 1.5e3, 1])), path)
    if "shape" in settings:
        with pytest.raises(InputError, match="--spacing or --shape, or set SCANPRIOR_MAX_VOXELS"):
            run_prepare(recipe(tmp_path, **settings))
        return
    assert run_prepare(recipe(tmp_path, **settings))["volumes"] == 1
    (rejected,) = json.loads((tmp_path / "out/rejected.json").read_text())
    assert rejected["reason"].startswith("images/s0.nii.gz: resampled it would have 2,520,")


def test_a_name_may_be_as_long_as_a_file_system_takes(tmp_path):
    (tmp_path / "in").mkdir()
    name = "é" + "a" * 240
    for last in "bc":
        image = np.random.default_rng(ord(last)).normal(size=(6, 7, 8)).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / f"in/{name}{last}.nii.gz")
    summary = run_prepare(recipe(tmp_path, patient="(.)$"))
    assert (summary["volumes"], summary["rejected"]) == (2, 0)
    ids = [volume.id for volume in Store(tmp_path / "out")]
    assert all(identity.startswith("éaaa") for identity in ids)
    assert {volume.record["patient"] for volume in Store(tmp_path / "out")} == {"b", "c"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"intensity": "window"}, "go together"),
        ({"window": (1.0, 2.0)}, "go together"),
        ({"intensity": "window", "window": (3.0, 2.0)}, "lower end first"),
        ({"spacing": (1.0, 0.0, 1.0)}, "impossible"),
        ({"shape": (1,)}, "impossible"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_impossible_settings_are_refused_before_work(tmp_path, settings, says):
    scans(tmp_path / "in", 1)
    with pytest.raises(InputError, match=says):
        run_prepare(recipe(tmp_path, **settings))
    assert not (tmp_path / "out").exists()


def test_what_a_source_leaves_out_is_in_the_index(tmp_path):
    scans(tmp_path / "in", n=1)
    (tmp_path / "in/more.nii.zip").write_bytes(b"PK")
    summary = run_prepare(recipe(tmp_path))
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert summary["left_out"] == index["left_out"]
    assert index["left_out"] == ["1 file of no known kind, as more.nii.zip"]


def four_channels(path):
    array = np.random.default_rng(0).normal(size=(12, 14, 10, 4))
    nib.save(nib.Nifti1Image(array, np.diag([1, 1, 2, 1])), path)


def left(store):
    """What lies in the store of each volume, by its id."""
    files = [*(store / "volumes").iterdir(), *(store / "records").iterdir()]
    return {(path.name.split(".")[0], path.name.split(".")[1]) for path in files}


REFUSED = {
    "its own fault": lambda path: path.write_bytes(b""),
    "of another kind than the others": four_channels,
    "not there any more": lambda path: path.unlink(),
}


@pytest.mark.parametrize("why", REFUSED)
def test_of_what_is_refused_nothing_is_left(tmp_path, why):
    scans(tmp_path / "in")
    (tmp_path / "in/labels/s2.nii.gz").unlink()
    run_prepare(recipe(tmp_path))
    assert ("s2", "image") in left(tmp_path / "out")
    REFUSED[why](tmp_path / "in/images/s2.nii.gz")
    refused = int((tmp_path / "in/images/s2.nii.gz").exists())
    for _ in range(2):
        summary = run_prepare(recipe(tmp_path))
        counts = [summary[name] for name in ("volumes", "prepared", "unchanged", "rejected")]
        assert counts == [3, 0, 3, refused]
        assert left(tmp_path / "out") == {
            (name, kind) for name in ("s0", "s1", "s3") for kind in ("image", "label", "json")
        }


def test_a_label_map_that_is_gone_leaves_no_array(tmp_path):
    scans(tmp_path / "in", 2)
    run_prepare(recipe(tmp_path))
    (tmp_path / "in/labels/s1.nii.gz").unlink()
    assert run_prepare(recipe(tmp_path))["prepared"] == 1
    assert not (tmp_path / "out/volumes/s1.label.b2nd").exists()


def test_where_all_are_refused_nothing_is_left(tmp_path):
    scans(tmp_path / "in", 1)
    path, store = tmp_path / "in/images/s0.nii.gz", tmp_path / "out"
    whole = path.read_bytes()
    run_prepare(recipe(tmp_path))
    (store / "warnings.json").write_text("[]")  # as of an image that is refused since
    path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(InputError, match="holds no image that can be used"):
            run_prepare(recipe(tmp_path))
        assert left(store) == set()
        assert {p.name for p in store.glob("*.json")} == {"recipe.json", "rejected.json"}
    path.write_bytes(whole)
    assert run_prepare(recipe(tmp_path))["prepared"] == 1
    assert not (store / "rejected.json").exists()


def test_a_source_without_scans_leaves_its_store(tmp_path):
    """It may be a disk that is not there."""
    scans(tmp_path / "in", 1)
    run_prepare(recipe(tmp_path))
    before = times(tmp_path / "out")
    shutil.rmtree(tmp_path / "in/images")
    shutil.rmtree(tmp_path / "in/labels")
    with pytest.raises(InputError, match="in is empty"):
        run_prepare(recipe(tmp_path))
    assert times(tmp_path / "out") == before


def content(store):
    return {p.relative_to(store): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def cut(monkeypatch, name, call):
    """A run that is interrupted where ``name`` of prepare or convert is called."""
    module = convert if hasattr(convert, name) else prepare
    whole, calls = getattr(module, name), []

    def interrupted(*given):
        calls.append(given)
        if len(calls) == call:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(module, name, interrupted)


MOMENTS = [("write_array", 1), ("write_array", 2), ("write_array", 3), ("compared", 1)]


@pytest.mark.parametrize("lost", [None, "volumes/s1.image.b2nd", "records/s1.json"])
@pytest.mark.parametrize(("name", "call"), MOMENTS)
def test_an_update_that_is_interrupted_leaves_no_store(tmp_path, monkeypatch, name, call, lost):
    """The old index would give the new arrays the old digest."""
    before, store = tmp_path / "before", tmp_path / "out"
    scans(tmp_path / "in", 3)
    run_prepare(recipe(tmp_path))
    scans(tmp_path / "in", 2, seed=1)
    if lost is not None:
        (store / lost).unlink()
    shutil.copytree(store, before)
    run_prepare(recipe(tmp_path))
    undisturbed = content(store)
    shutil.rmtree(store)
    before.rename(store)
    with monkeypatch.context() as patch:
        cut(patch, name, call)
        with pytest.raises(KeyboardInterrupt):
            run_prepare(recipe(tmp_path))
    with pytest.raises(InputError, match="is not a store"):
        Store(store)
    run_prepare(recipe(tmp_path))
    assert content(store) == undisturbed


@pytest.mark.parametrize(("name", "call"), [("write_array", 2), ("compared", 1)])
def test_while_volumes_are_added_the_store_stays(tmp_path, monkeypatch, name, call):
    scans(tmp_path / "in", 2)
    run_prepare(recipe(tmp_path))
    before = content(tmp_path / "out")
    for path in (scans(tmp_path / "more", 4) / "images").glob("s[23]*"):
        path.rename(tmp_path / "in/images" / path.name)
    with monkeypatch.context() as patch:
        cut(patch, name, call)
        with pytest.raises(KeyboardInterrupt):
            run_prepare(recipe(tmp_path))
    now = content(tmp_path / "out")
    assert {path: now.get(path) for path in before} == before
    assert run_prepare(recipe(tmp_path))["volumes"] == 4


@pytest.mark.slow
def test_unreadable_files_are_listed_and_the_others_go_on(tmp_path):
    scans(tmp_path / "in")
    broken = tmp_path / "in/images/s0.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    seven = nib.Nifti1Image(np.full((12, 14, 10), 7.0), np.eye(4))
    nib.save(seven, tmp_path / "in/images/s9.nii.gz")
    four = np.random.default_rng(0).normal(size=(12, 14, 10, 2))
    nib.save(nib.Nifti1Image(four, np.eye(4)), tmp_path / "in/images/s8.nii.gz")
    summary = run_prepare(recipe(tmp_path, workers=2))
    assert (summary["volumes"], summary["rejected"]) == (3, 3)
    said = json.loads((tmp_path / "out/rejected.json").read_text())
    listed = {entry["id"]: entry["reason"] for entry in said}
    assert "s0.nii.gz ends before its compressed data do" in listed["s0"]
    assert "s0.nii.gz" in listed["s0"]
    assert "7 everywhere" in listed["s9"]
    assert "2 channels" in listed["s8"]
    assert [v.id for v in Store(tmp_path / "out")] == ["s1", "s2", "s3"]
    for name in ("s0", "s8", "s9"):
        (tmp_path / f"in/images/{name}.nii.gz").unlink()
    (tmp_path / "in/labels/s0.nii.gz").unlink()
    run_prepare(recipe(tmp_path))
    assert not (tmp_path / "out/rejected.json").exists()


def test_values_that_float16_cannot_hold_are_refused(tmp_path):
    scans(tmp_path / "in", 1)
    big = 1.7e6 * np.random.default_rng(0).uniform(size=(12, 14, 10))
    nib.save(nib.Nifti1Image(big, np.diag([1, 1, 4, 1])), tmp_path / "in/images/s0.nii.gz")
    with pytest.raises(InputError, match="float16"):
        run_prepare(recipe(tmp_path, intensity="none"))


@pytest.mark.parametrize(("scale", "added"), [(1e-8, 0.0), (1e-6, 0.0), (1.0, 3e4)])
def test_values_that_float16_cannot_tell_apart_are_refused(tmp_path, scale, added):
    scans(tmp_path / "in", 2)
    fine = scale * np.random.default_rng(0).uniform(size=(12, 14, 10)) + added
    nib.save(nib.Nifti1Image(fine, np.diag([1, 1, 4, 1])), tmp_path / "in/images/s0.nii.gz")
    assert run_prepare(recipe(tmp_path, intensity="none"))["rejected"] == 1
    assert "float16 holds to" in (tmp_path / "out/rejected.json").read_text()
    other = recipe(tmp_path, store=tmp_path / "other", intensity="unit")
    assert run_prepare(other)["rejected"] == 0


def test_median_spacing_and_labels_never_mixed(tmp_path):
    scans(tmp_path / "in")
    run_prepare(recipe(tmp_path, spacing="median", interpolation="cubic"))
    store = Store(tmp_path / "out")
    assert store.header["spacing"] == [2, 1, 1]
    assert [v.shape for v in store] == [(1, 20, 14, 12)] + [(1, 10, 14, 12)] * 3
    for volume in store:
        assert volume.spacing == pytest.approx((2, 1, 1))
        label = volume.read_label((slice(None),) * 3)
        assert label.dtype == np.uint8
        assert set(np.unique(label)) == {0, 1, 2}


def test_records_come_after_their_arrays(tmp_path, monkeypatch):
    scans(tmp_path / "in", 1)

    def killed(path, array):
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        run_prepare(recipe(tmp_path))
    assert not list((tmp_path / "out/records").iterdir())
    assert not (tmp_path / "out/index.json").exists()
    monkeypatch.undo()
    assert run_prepare(recipe(tmp_path))["prepared"] == 1


@pytest.mark.slow
def test_killed_in_the_middle_it_continues(tmp_path):
    scans(tmp_path / "in", 60)
    script = (
        "import sys; from pathlib import Path\n"
        "from scanprior.data.prepare import Prepare, run_prepare\n"
        "if __name__ == '__main__':\n"
        "    run_prepare(Prepare(source=Path(sys.argv[1]), store=Path(sys.argv[2]), workers=2))\n"
    )
    (tmp_path / "go.py").write_text(script)
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "go.py"), str(tmp_path / "in"), str(tmp_path / "out")],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    kept = tmp_path / "out/records"
    until = time.monotonic() + 120
    while not (kept.is_dir() and len(list(kept.glob("s*.json"))) >= 5):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(1)  # its workers notice that it is gone
    survived = len(list(kept.glob("s*.json")))
    assert survived < 60
    assert not (tmp_path / "out/index.json").exists()
    summary = run_prepare(recipe(tmp_path))
    assert (summary["unchanged"], summary["volumes"]) == (survived, 60)
    run_prepare(recipe(tmp_path, store=tmp_path / "whole"))
    for a, b in zip(Store(tmp_path / "out"), Store(tmp_path / "whole"), strict=True):
        box = (slice(None),) * 3
        assert np.array_equal(a.read(box), b.read(box))
    assert Store(tmp_path / "out").digest == Store(tmp_path / "whole").digest
    assert not list((tmp_path / "out").rglob(".tmp.*"))


@pytest.mark.slow
def test_hippocampus(tmp_path):
    summary = run_prepare(recipe(tmp_path, source=real("Task04_Hippocampus"), workers=2))
    assert (summary["volumes"], summary["rejected"], summary["classes"]) == (330, 0, 3)
    assert (summary["labelled"], summary["graded"]) == (200, 0)
    store = Store(tmp_path / "out")
    split = Split.make(store)
    assert (len(split.train), len(split.validation)) == (160, 40)
    assert sum(v.record["partition"] == "unlabelled" for v in store) == 130
