"""``predict --dicom-seg``: segments where the box was drawn, beside the maps, and nowhere else."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch

from scanprior.cli import main
from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import SourceOptions, dicom_seg_write
from scanprior.recipes import answers as module
from scanprior.recipes.finetuned import load_finetuned
from scanprior.recipes.predict import Predict, predict
from scanprior.saved import save_weights
from tests.data.dicom_files import SECRETS, write_series
from tests.data.test_dicom import affine_of, header, pixels
from tests.data.test_dicom_seg import ORIENTATIONS
from tests.recipes.scans import trained, write_scans
from tests.recipes.test_predict import changed

SHAPE = (11, 21, 27)
BOX = (slice(3, 8), slice(2, 13), slice(9, 20))


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that finds what is brighter than the middle, on the store's own grid."""

    def found(learner: object, image: torch.Tensor, crop: object, **_: Any) -> torch.Tensor:
        likely = ((image[0] - image.min()) / (image.max() - image.min())).clamp(0, 1)
        return torch.stack([1 - likely, likely])

    monkeypatch.setattr(module, "probabilities", found)


def scan(folder: Path, affine: np.ndarray, series: str = "s", **values: Any) -> np.ndarray:
    box = np.random.default_rng(0).integers(0, 100, SHAPE, dtype=np.int16)
    box[BOX] += 1000
    write_series(folder, box, affine, series, **values)
    return box > 500


@pytest.mark.usefixtures("bright")
@pytest.mark.parametrize(("rows", "columns", "turn"), ORIENTATIONS)
def test_the_box_is_found_where_it_was_drawn(
    run: Path, tmp_path: Path, rows: tuple, columns: tuple, turn: float
) -> None:
    # of the store's spacing, so that nothing is interpolated
    affine = affine_of(rows, columns, sizes=(1.0, 1.0, 1.0), turn=float(turn))
    box = scan(tmp_path / "scan", affine)
    out = tmp_path / "out"
    said = predict(Predict(run=run, source=tmp_path / "scan", out=out, dicom_seg=True))
    assert said["predicted"] == 1
    (path,), (map_file,) = out.glob("*.dcm"), out.glob("*.nii.gz")
    assert path.stem == map_file.name.removesuffix(".nii.gz")
    seg = highdicom.seg.segread(path)
    assert [d.segment_label for d in seg.SegmentSequence] == ["class 1"]
    (tmp_path / "scan" / "seg").write_bytes(path.read_bytes())
    (case,) = sources.find(tmp_path / "scan", None, SourceOptions())
    image, label = case.read()
    assert label is not None
    assert np.array_equal(label.array[0], image.array[0] > 500)
    assert label.array.sum() == box.sum()
    assert np.array_equal(label.array[0].T, np.asarray(nib.load(map_file).dataobj))


@pytest.mark.usefixtures("bright")
def test_names_and_what_is_there_is_left(run: Path, tmp_path: Path) -> None:
    scan(tmp_path / "scan", affine_of(), "one")
    scan(tmp_path / "scan" / "b", affine_of(), "two", PatientID="../../../evil")
    mine = Predict(run=run, source=tmp_path / "scan", out=tmp_path / "out" / "deep")
    assert predict(mine)["predicted"] == 2
    mine = dataclasses.replace(mine, dicom_seg=True, class_names=("bright box",))
    assert predict(mine)["predicted"] == 2, "the maps are there, the segments are not"
    assert predict(mine)["unchanged"] == 2
    assert len(list(mine.out.glob("*.dcm"))) == 2
    for path in mine.out.glob("*.dcm"):
        assert pydicom.dcmread(path).SegmentSequence[0].SegmentLabel == "bright box"
    with pytest.raises(InputError, match="segments of other names"):
        predict(dataclasses.replace(mine, class_names=("other",)))
    with pytest.raises(InputError, match="2 class names do not suit a model of 1 classes"):
        predict(dataclasses.replace(mine, class_names=("a", "b")))
    with pytest.raises(InputError, match="add --dicom-seg"):
        predict(dataclasses.replace(mine, dicom_seg=False))


def balls(folder: Path, called: str) -> Path:
    """A data set whose one class has a name."""
    scans = write_scans(folder / called, {f"pad{i}": np.eye(4) for i in range(5)})
    listed = (scans / "dataset.json").read_text()
    (scans / "dataset.json").write_text(f'{listed[:-1]}, "labels": {{"1": "{called}"}}}}')
    return scans


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model of balls and its store, which lies beside it."""
    folder = tmp_path_factory.mktemp("named")
    return trained(folder, balls(folder, "ball"), steps=2)


@pytest.fixture
def copied(named: Path, tmp_path: Path) -> Path:
    """The same, in another place, its recipe's paths relative to the working directory."""
    shutil.copytree(named.parent, tmp_path / "work")
    rewrite(tmp_path / "work" / "run" / "recipe.json", store="store")
    return tmp_path / "work" / "run"


def rewrite(path: Path, **values: Any) -> None:
    """Change what a JSON file says; None takes it away."""
    kept = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: v for key, v in kept.items() if v is not None}))


def name_given(run: Path, folder: Path) -> str:
    """What a prediction calls the one class."""
    scan(folder / "scan", affine_of())
    out = Path(tempfile.mkdtemp(dir=folder))
    predict(Predict(run=run, source=folder / "scan", out=out, dicom_seg=True))
    (path,) = out.glob("*.dcm")
    return pydicom.dcmread(path).SegmentSequence[0].SegmentLabel


@pytest.mark.usefixtures("bright")
def test_names_go_with_the_model(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the recipe's path leads nowhere
    assert name_given(copied, tmp_path) == "ball"
    monkeypatch.chdir(copied.parent)  # where it leads to another store
    shutil.rmtree("store")
    run_prepare(Prepare(source=balls(tmp_path, "kidney"), store=Path("store"), workers=1))
    assert name_given(copied, tmp_path) == "ball"
    (copied / "recipe.json").unlink()
    assert name_given(copied, tmp_path) == "ball"


@pytest.mark.usefixtures("bright")
def test_an_older_model_has_the_names_of_its_own_store_only(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    learner, about = load_finetuned(copied)
    about.pop("label_names")
    save_weights(old / "best.safetensors", learner, about)
    shutil.copy(copied / "recipe.json", old)
    monkeypatch.chdir(copied.parent)
    assert name_given(old, tmp_path) == "ball"
    shutil.rmtree("store")
    assert name_given(old, tmp_path) == "class 1"
    run_prepare(Prepare(source=balls(tmp_path, "kidney"), store=Path("store"), workers=1))
    assert name_given(old, tmp_path) == "class 1"
    for wrong in (None, 5):
        rewrite(old / "recipe.json", store=wrong)
        with pytest.raises(InputError, match=r"recipe\.json is damaged .*store.*--class-names"):
            name_given(old, tmp_path)


@pytest.mark.parametrize("names", [[], "ball", {"1": 2}, {"1": "a\tb"}])
def test_damaged_names_are_said(named: Path, tmp_path: Path, names: Any) -> None:
    run = changed(named, tmp_path / "model", label_names=names)
    with pytest.raises(InputError, match=r"is damaged \(label_names"):
        predict(Predict(run=run, source=tmp_path / "model", out=tmp_path / "out"))


@pytest.mark.usefixtures("bright")
def test_uids_and_names_that_lead_out_stay_inside(run: Path, tmp_path: Path) -> None:
    evil = "../../../../tmp/evil"
    with dicom_seg_write.quiet():
        values = {"StudyInstanceUID": evil, "SeriesInstanceUID": evil, "Modality": "../CT"}
        scan(tmp_path / "scan", affine_of(), PatientID=evil, FrameOfReferenceUID=evil, **values)
        for path in (tmp_path / "scan").iterdir():
            data = pydicom.dcmread(path)
            data.SOPInstanceUID = f"{evil}/{path.name}"
            data.save_as(path)
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "deep" / "er" / "out"
    predict(Predict(run=run, source=tmp_path / "scan", out=out, dicom_seg=True))
    assert {path.parent for path in set(tmp_path.rglob("*")) - before if path.is_file()} == {out}
    assert len(list(out.glob("*.dcm"))) == 1


@pytest.mark.usefixtures("bright")
def test_the_patient_is_in_the_segments_and_nowhere_else(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(tmp_path / "scan", affine_of())
    out = tmp_path / "out"
    main(["predict", str(run), str(tmp_path / "scan"), "--out", str(out), "--dicom-seg"])
    (path,) = out.glob("*.dcm")
    seg = pydicom.dcmread(path)
    assert (seg.PatientName, seg.StudyDate) == ("Miller^Zacharias", "20240117")
    told = "".join(capsys.readouterr()) + " ".join(str(p) for p in out.iterdir())
    written = b"".join(p.read_bytes() for p in out.iterdir() if p != path)
    (map_file,) = out.glob("*.nii.gz")
    header_text = str(nib.load(map_file).header)
    for secret in SECRETS:
        assert secret not in told
        assert secret.encode() not in written
        assert secret not in header_text
    assert {p.suffix for p in out.iterdir()} == {".dcm", ".gz", ".json"}


def test_other_sources_are_refused_before_any_work(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Predict(run=run, source=scans, out=tmp_path / "out", dicom_seg=True)
    with pytest.raises(InputError, match="is not DICOM, so no DICOM-SEG can refer to it"):
        predict(mine)
    monkeypatch.setattr(dicom_seg_write, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'scanprior\[dicom-seg\]'"):
        predict(dataclasses.replace(mine, run=tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("bright")
def test_photographs_and_broken_series_are_rejected_and_the_others_go_on(
    run: Path, tmp_path: Path
) -> None:
    scan(tmp_path / "scan", affine_of())
    scan(tmp_path / "scan" / "b", affine_of(), "gap")
    max((tmp_path / "scan" / "b").iterdir(), key=_height_from_middle).unlink()
    film = header("x", "x", SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR")
    pixels(film, np.arange(120, dtype=np.uint8).reshape(10, 12))
    pydicom.dcmwrite(tmp_path / "scan" / "film", film)
    run = changed(run, tmp_path / "model", resolved_spacing=None)
    said = predict(Predict(run=run, source=tmp_path / "scan", out=tmp_path / "out", dicom_seg=True))
    assert said["predicted"] == 1
    assert sorted(len(reason) > 0 for reason in said["rejected"].values()) == [True, True]
    assert "lacks 1 slice" in " ".join(said["rejected"].values())
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 1


@pytest.mark.usefixtures("bright")
def test_a_series_of_odd_numbers_is_predicted_and_one_beyond_repair_rejected(
    run: Path, tmp_path: Path
) -> None:
    scan(tmp_path / "scan" / "a", affine_of(), "a")
    scan(tmp_path / "scan" / "b", affine_of(), "b", FrameOfReferenceUID=["1.2", "1.3"])
    scan(tmp_path / "scan" / "c", affine_of(), "c", LossyImageCompressionRatio="123456")
    for path in (tmp_path / "scan" / "c").iterdir():
        path.write_bytes(path.read_bytes().replace(b"123456", b"Miller"))
    said = predict(Predict(run=run, source=tmp_path / "scan", out=tmp_path / "out", dicom_seg=True))
    assert said["predicted"] == 2
    (why,) = said["rejected"].values()
    assert "no DICOM-SEG can be made of" in why
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2


def _height_from_middle(path: Path) -> float:
    return -abs(pydicom.dcmread(path).ImagePositionPatient[2] - 7.25 - 2.5 * 5)
