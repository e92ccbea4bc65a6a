"""No encoder is pretrained on what is tested, or its user is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.pretrain import Pretrain, pretrain

QUICK = Training(steps=1, batch_size=2)


def pretrained(store: Path, out: Path, **more: object) -> list[str]:
    recipe = Pretrain(store=store, out=out, widths=(4, 8), training=QUICK)
    pretrain(replace(recipe, **more))
    return json.loads((out / "cases.json").read_text())["train"]


def test_the_source_s_own_test_part_is_not_pretrained_on(store: Path, tmp_path: Path) -> None:
    index = json.loads((store / "index.json").read_text())
    index["volumes"][0]["partition"] = "test"
    (store / "index.json").write_text(json.dumps(index))
    first, *others = [volume.id for volume in Store(store)]
    assert sorted(pretrained(store, tmp_path / "without")) == sorted(others)
    assert first in pretrained(store, tmp_path / "with", hold_out=False)


def test_relatives_of_the_test_volumes_are_not_pretrained_on(store: Path, tmp_path: Path) -> None:
    """An unlabelled scan of a test patient, and a copy of a test volume under another name."""
    index = json.loads((store / "index.json").read_text())
    index["volumes"][4] |= {"patient": index["volumes"][0]["patient"], "labelled": False}
    index["volumes"][5] |= {"sha256": index["volumes"][0]["sha256"]}
    (store / "index.json").write_text(json.dumps(index))
    ids = [volume.id for volume in Store(store)]
    Split(tuple(ids[1:4]), (), (ids[0],), seed=0).save(store / "split.json")
    assert sorted(pretrained(store, tmp_path / "run")) == [*ids[1:4], *ids[6:]]


def test_a_start_that_saw_the_test_volumes_is_told(store: Path, tmp_path: Path, capsys) -> None:
    volumes = list(Store(store))
    Split.make(volumes, validation=0.2, test=0.4, seed=0).save(store / "split.json")
    for name, hold_out in (("fair", True), ("leaky", False)):
        pretrained(store, tmp_path / name, hold_out=hold_out)
        capsys.readouterr()
        recipe = Finetune(
            store=store, out=tmp_path / f"on {name}", start=str(tmp_path / name), training=QUICK
        )
        finetune(recipe)
        assert ("flatter" in capsys.readouterr().err) == (not hold_out)


def test_a_crop_of_padding_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="padding for the most part"):
        pretrained(store, tmp_path / "run", crop=(304, 304, 304))
