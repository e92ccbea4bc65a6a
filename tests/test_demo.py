"""The demo from end to end, in a few steps, on a phantom."""

from pathlib import Path

import pytest

from scanprior.contracts import InputError
from scanprior.data import download
from scanprior.data.phantom import write_decathlon
from scanprior.demo import Demo, run_demo


@pytest.mark.slow
def test_demo_writes_its_report_and_reuses_what_is_there(tmp_path):
    source = tmp_path / "source"
    write_decathlon(source, labelled=10, unlabelled=3, seed=0)
    recipe = Demo(
        data=source, out=tmp_path / "out", labels=3, pretrain_steps=2, finetune_steps=2, task="cpc"
    )
    result = run_demo(recipe)
    report = (tmp_path / "out" / "report" / "report.md").read_text()
    assert result["cases"] == 2
    assert [row["start"] for row in result["rows"]] == ["scratch", "cpc"]
    assert "Paired difference over 2 held-out cases" in report
    assert len(list((tmp_path / "out" / "report").glob("*.png"))) >= 3
    weights = tmp_path / "out" / "cpc" / "encoder.safetensors"
    before = weights.read_bytes()
    assert run_demo(recipe) == result
    assert weights.read_bytes() == before


def test_an_impossible_seed_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="seed -1 is impossible"):
        run_demo(Demo(out=tmp_path / "out", seed=-1))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_data_or_network_a_phantom_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def offline() -> Path:
        raise InputError("no network.")

    monkeypatch.setattr(download, "download", offline)
    run_demo(Demo(labels=2, pretrain_steps=1, finetune_steps=1))
    assert "its numbers mean nothing" in capsys.readouterr().err
    assert (tmp_path / "demo" / "report" / "report.md").is_file()
