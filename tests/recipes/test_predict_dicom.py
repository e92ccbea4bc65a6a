"""``predict --dicom-seg``: segments where the box was drawn, beside the maps, and nowhere else."""

import dataclasses
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
from scanprior.data.sources import SourceOptions, dicom_seg_write
from scanprior.recipes import answers as module
from scanprior.recipes.predict import Predict, predict
from tests.data.dicom_files import SECRETS, write_series
from tests.data.test_dicom import affine_of, header, pixels
from tests.data.test_dicom_seg import ORIENTATIONS
from tests.recipes.scans import AFFINES, write_scans
from tests.recipes.test_predict import changed, trained

SHAPE = (11, 21, 27)
BOX = (slice(3, 8), slice(2, 13), slice(9, 20))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans") / "balls", AFFINES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), scans, steps=2)


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


@pytest.mark.usefixtures("bright")
def test_names_of_the_model_s_own_source(scans: Path, tmp_path: Path) -> None:
    folder = write_scans(tmp_path / "balls", {f"pad{i}": np.eye(4) for i in range(5)})
    listed = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(listed[:-1] + ', "labels": {"1": "ball"}}')
    run = trained(tmp_path, folder, steps=2)
    scan(tmp_path / "scan", affine_of())
    predict(Predict(run=run, source=tmp_path / "scan", out=tmp_path / "out", dicom_seg=True))
    (path,) = (tmp_path / "out").glob("*.dcm")
    assert pydicom.dcmread(path).SegmentSequence[0].SegmentLabel == "ball"


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


def _height_from_middle(path: Path) -> float:
    return -abs(pydicom.dcmread(path).ImagePositionPatient[2] - 7.25 - 2.5 * 5)
