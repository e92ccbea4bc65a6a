"""The measurements run and their numbers belong together."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior import bench as module
from scanprior import pretext
from scanprior.bench import Bench, bench
from scanprior.contracts import InputError


def test_store_against_nifti(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", (22, 32, 32))
    said = bench(Bench(what="store", size=16, repeats=1, accelerator="none"))  # of no matter
    (row,) = said["rows"]
    assert row["crop"] == "16^3 of 32x32x22"
    assert row["store_ms"] > 0
    assert row["nii_gz_ms"] > 0
    assert said["machine"]["torch"]


def test_a_scan_of_one_s_own(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(20, 18, 17)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "scan.nii.gz")
    said = bench(Bench(what="store", scan=tmp_path / "scan.nii.gz", size=16, repeats=1))
    assert said["rows"][0]["crop"] == "16^3 of 20x18x17"
    with pytest.raises(InputError, match="does not exist"):
        bench(Bench(what="store", scan=tmp_path / "none.nii.gz"))
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match=r"bad\.nii\.gz"):
        bench(Bench(what="store", scan=tmp_path / "bad.nii.gz"))


def test_views_of_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    small = Bench(what="views", spatial_dims=2, size=96, repeats=1, encoder="small")
    said = bench(replace(small, accelerator="cpu"))
    assert said["machine"]["device"].startswith("cpu (")
    assert [row["task"] for row in said["rows"]] == [f"{name} 2D" for name in pretext.names()]
    assert all(row["views_ms"] > 0 and "share" not in row for row in said["rows"])
    shown = capsys.readouterr()
    assert "views_ms" in shown.err
    assert shown.out == ""
    with pytest.raises(InputError, match="accelerator none"):
        bench(replace(small, accelerator="none"))


@pytest.mark.slow
def test_steps_of_every_task() -> None:
    said = bench(Bench(what="step", spatial_dims=2, size=96, repeats=1, encoder="small"))
    for row in said["rows"]:
        share = (row["loading_ms"] + row["views_ms"]) / row["forward_backward_ms"]
        assert float(row["share"].rstrip("%")) / 100 == pytest.approx(share, rel=0.1, abs=0.01)


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(InputError, match="no encoder"):
        bench(Bench(what="step", encoder="huge", spatial_dims=2, size=96))
