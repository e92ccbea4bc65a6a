"""What labels are called: read once, by prepare, from what the source declares."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.label_names import label_names
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources.decathlon import Declared, declared
from scanprior.data.store import Store
from scanprior.recipes.autolabel import Autolabel, autolabel
from tests.recipes.scans import write_scans

DECATHLON = {"0": "background", "1": "Anterior", "2": "Posterior"}
NNUNET = {"background": 0, "liver": 1, "whole": [1, 2], "core": [3]}


def describe(source: Path, labels: Any) -> Path:
    """Say in the ``dataset.json`` of a source what its labels are."""
    source.mkdir(exist_ok=True)
    path = source / "dataset.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | {"labels": labels, "channel_names": {"0": "T1"}}))
    return source


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (DECATHLON, {0: "background", 1: "Anterior", 2: "Posterior"}),
        (NNUNET, {0: "background", 1: "liver", 2: "", 3: "core"}),
        ({"whole": [1, 2], "liver": 1}, {1: "liver", 2: ""}),
        ({}, {}),
        (["background"], {}),
        (None, {}),
    ],
)
def test_both_ways_of_declaring(tmp_path: Path, labels: Any, known: dict[int, str]) -> None:
    assert declared(describe(tmp_path, labels)) == Declared(known, 1)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"labels": 3, "modality": "MRI"}'])
def test_a_damaged_description_declares_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    assert declared(tmp_path) == Declared({}, None)
    assert declared(tmp_path / "no folder") == Declared({}, None)


def test_prepare_keeps_the_names_in_the_index(tmp_path: Path) -> None:
    source = write_scans(tmp_path / "scans", {f"scan_{i}": np.eye(4) for i in range(3)})
    recipe = Prepare(source=source, store=tmp_path / "store", workers=1)
    run_prepare(recipe)
    before = Store(recipe.store)
    assert label_names(before) == {}
    describe(source, NNUNET)
    run_prepare(recipe)
    store = Store(recipe.store)
    assert label_names(store) == {"1": "liver", "3": "core"}
    assert store.digest == before.digest  # names change no number
    (source / "dataset.json").unlink()
    assert label_names(store) == {"1": "liver", "3": "core"}  # the source may go
    autolabel(Autolabel(store=recipe.store, out=tmp_path / "tissues", workers=1))
    assert label_names(Store(tmp_path / "tissues")) == {}


def test_names_in_the_index_are_one_line_each(tmp_path: Path) -> None:
    """Whatever the source calls them: the store must be usable, and JSON must hold it."""
    source = write_scans(tmp_path / "scans", {"a": np.eye(4)})
    describe(source, {"1": "liver\tlobe\n", "2": "left\ud800 \x00kidney", "3": "\ud800", "4": "ö"})
    run_prepare(Prepare(source=source, store=tmp_path / "store", workers=1))
    names = label_names(Store(tmp_path / "store"))
    assert names == {"1": "liver lobe", "2": "left kidney", "4": "ö"}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (DECATHLON, {"1": "Anterior", "2": "Posterior"}),
        (NNUNET, {"1": "liver", "3": "core"}),
        (["liver"], {}),
    ],
)
def test_a_store_from_before_asks_its_source(
    ball_store: Path, tmp_path: Path, labels: Any, names: dict[str, str]
) -> None:
    source = tmp_path / "source"
    index = json.loads((ball_store / "index.json").read_text())
    index["recipe"]["source"] = str(source)

    def named(**more: Any) -> dict[str, str]:
        (tmp_path / "index.json").write_text(json.dumps(index | more))
        return label_names(Store(tmp_path))

    assert named() == {}
    describe(source, labels)
    assert named() == names
    assert named(autolabel={}) == {}, "its classes are tissues"
    assert named(labels={"1": "ours"}) == {"1": "ours"}
    for damaged in (["ours"], {"1": 2}, None):
        with pytest.raises(InputError, match=r"index\.json is damaged \(labels"):
            named(labels=damaged)
    del index["recipe"]["source"]
    assert named() == {}
