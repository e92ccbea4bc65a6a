"""A store of automatic labels: the same images, tissue classes, and a supervised start."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scanprior import transfer
from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store, write_array
from scanprior.fit import Training
from scanprior.recipes import autolabel as module
from scanprior.recipes.autolabel import Autolabel, autolabel
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.verbs import parse

WHOLE = (slice(None),) * 3


def recipe(store: Path, out: Path, **more: object) -> Autolabel:
    return dataclasses.replace(Autolabel(store=store, out=out, classes=2, workers=1), **more)


def files(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()
    }


def unshare(store: Path) -> None:
    """Give the store a folder of its own, so that a test may change files in it."""
    shared = (store / "volumes").resolve()
    (store / "volumes").unlink()
    (store / "volumes").mkdir()
    for path in shared.iterdir():
        os.link(path, store / "volumes" / path.name)


def test_images_are_the_same_and_labels_are_found(store: Path, tmp_path: Path) -> None:
    said = autolabel(recipe(store, tmp_path / "auto"))
    assert (said["volumes"], said["labelled"], said["unchanged"]) == (12, 12, 0)
    assert (said["linked"], said["copied"], said["rejected"], said["classes"]) == (12, 0, {}, 3)
    old, new = Store(store), Store(tmp_path / "auto")
    assert new.classes == 3
    assert new.digest != old.digest
    for a, b in zip(old, new, strict=True):
        np.testing.assert_array_equal(a.read(WHOLE), b.read(WHOLE))
        assert b.labelled
        ball, found = a.read_label(WHOLE) == 1, b.read_label(WHOLE)
        assert set(np.unique(found)) == {1, 2}  # the noise has no border: all is foreground
        dice = 2 * (ball & (found == 2)).sum() / (ball.sum() + (found == 2).sum())
        assert dice > 0.95, a.id


def test_again_does_nothing_and_only_what_changed_is_done(store: Path, tmp_path: Path) -> None:
    unshare(store)
    mine = recipe(store, tmp_path / "auto")
    autolabel(mine)
    before = files(tmp_path / "auto")
    assert autolabel(dataclasses.replace(mine, workers=2))["unchanged"] == 12
    assert {k: v for k, v in files(tmp_path / "auto").items() if k.startswith("vol")} == {
        k: v for k, v in before.items() if k.startswith("vol")
    }
    (tmp_path / "auto" / "records" / "ball_03.json").unlink()  # as if killed before it
    (tmp_path / "auto" / "volumes" / ".tmp.1.ball_03.label.b2nd").write_bytes(b"half")
    said = autolabel(mine)
    assert (said["labelled"], said["unchanged"]) == (1, 11)
    image = store / "volumes" / "ball_05.image.b2nd"
    other = Store(store)[5].read(WHOLE)[:, ::-1]
    image.unlink()
    write_array(image, np.ascontiguousarray(other))
    digest = Store(tmp_path / "auto").digest
    assert autolabel(mine)["labelled"] == 1
    np.testing.assert_array_equal(Store(tmp_path / "auto")[5].read(WHOLE), other)
    assert Store(tmp_path / "auto").digest != digest
    assert not list((tmp_path / "auto").rglob(".tmp.*"))


def test_an_update_that_is_interrupted_leaves_no_store(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old index would give the new arrays the old digest."""
    unshare(store)
    mine = recipe(store, tmp_path / "auto")
    autolabel(mine)
    digest = Store(tmp_path / "auto").digest
    image = store / "volumes" / "ball_05.image.b2nd"
    other = np.ascontiguousarray(Store(store)[5].read(WHOLE)[:, ::-1])
    image.unlink()
    write_array(image, other)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_index", interrupted)
        with pytest.raises(KeyboardInterrupt):
            autolabel(mine)
    with pytest.raises(InputError, match="is not a store"):
        Store(tmp_path / "auto")
    assert autolabel(mine)["unchanged"] == 12
    assert Store(tmp_path / "auto").digest != digest


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"state": [1, 2]}', '{"state": "x"}'])
def test_what_a_damaged_record_is_of_is_labelled_again(
    store: Path, tmp_path: Path, text: str
) -> None:
    mine = recipe(store, tmp_path / "auto")
    autolabel(mine)
    record = tmp_path / "auto" / "records" / "ball_03.json"
    whole = record.read_text()
    record.write_text(text)
    said = autolabel(mine)
    assert (said["labelled"], said["unchanged"]) == (1, 11)
    assert record.read_text() == whole
    record.write_text(json.dumps({"state": json.loads(whole)["state"]}))  # of the same image
    assert autolabel(mine)["labelled"] == 1


@pytest.mark.slow
def test_processes_change_nothing(store: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        autolabel(recipe(store, tmp_path / name, workers=workers))
    assert (
        json.loads((tmp_path / "one" / "index.json").read_text())["volumes"]
        == json.loads((tmp_path / "two" / "index.json").read_text())["volumes"]
    )
    assert Store(tmp_path / "one").digest == Store(tmp_path / "two").digest


def test_test_volumes_are_left_out(store: Path, tmp_path: Path) -> None:
    split = Split.make(list(Store(store)), test=0.25)
    split.save(store / "split.json")
    autolabel(recipe(store, tmp_path / "auto"))
    kept = {volume.id for volume in Store(tmp_path / "auto")}
    assert kept == {volume.id for volume in Store(store)} - set(split.test)
    assert autolabel(recipe(store, tmp_path / "all", hold_out=False))["volumes"] == 12


@pytest.mark.parametrize("shared", ["patient", "sha256"])
def test_the_source_s_test_part_and_its_relatives_are_left_out(
    store: Path, tmp_path: Path, shared: str
) -> None:
    index = json.loads((store / "index.json").read_text())
    index["volumes"][0]["partition"] = "test"
    for i in (0, 3):
        index["volumes"][i][shared] = "the same"
    (store / "index.json").write_text(json.dumps(index))
    autolabel(recipe(store, tmp_path / "auto"))
    kept = [volume.id for volume in Store(tmp_path / "auto")]
    assert kept == [f"ball_{i:02}" for i in range(12) if i not in (0, 3)]
    assert autolabel(recipe(store, tmp_path / "all", hold_out=False))["volumes"] == 12


def test_without_links_images_are_copied(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    said = autolabel(recipe(store, tmp_path / "auto"))
    assert (said["linked"], said["copied"]) == (0, 12)
    np.testing.assert_array_equal(
        Store(store)[0].read(WHOLE), Store(tmp_path / "auto")[0].read(WHOLE)
    )


def test_what_cannot_be_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="channel 1 is not"):
        autolabel(recipe(store, tmp_path / "auto", channel=1))
    with pytest.raises(InputError, match="1 classes"):
        autolabel(recipe(store, tmp_path / "auto", classes=1))
    with pytest.raises(InputError, match="0 workers"):
        autolabel(recipe(store, tmp_path / "auto", workers=0))
    with pytest.raises(InputError, match="holds other files"):
        autolabel(recipe(store, store.parent))
    assert not (tmp_path / "auto").exists()
    autolabel(recipe(store, tmp_path / "auto"))
    with pytest.raises(InputError, match=r"other settings \(smoothing\)"):
        autolabel(recipe(store, tmp_path / "auto", smoothing=0.0))


def test_an_image_without_contrast_is_reported_and_the_others_go_on(
    store: Path, tmp_path: Path
) -> None:
    unshare(store)
    flat = store / "volumes" / "ball_02.image.b2nd"
    shape = Store(store)[2].shape
    flat.unlink()
    write_array(flat, np.ones(shape, np.float16))
    said = autolabel(recipe(store, tmp_path / "auto"))
    assert said["volumes"] == 11
    assert list(said["rejected"]) == ["ball_02"]
    assert "fewer than 2 different intensities" in said["rejected"]["ball_02"]


@pytest.mark.slow
def test_the_supervised_start(store: Path, tmp_path: Path) -> None:
    """Automatic labels, a segmenter of them, and its encoder as the start on the true labels."""
    autolabel(recipe(store, tmp_path / "auto"))
    training = Training(steps=2, batch_size=2, warmup=0, precision="32", accelerator="cpu")
    supervised = Finetune(
        store=tmp_path / "auto",
        out=tmp_path / "supervised",
        widths=(4, 8),
        crop=(16, 16, 16),
        training=training,
    )
    finetune(supervised)
    assert transfer.about_start(supervised.out)["task"]["classes"] == 3
    encoder = transfer.build(transfer.about_start(supervised.out))
    assert transfer.load_start(supervised.out, encoder).coverage == 1


def test_the_command() -> None:
    line = "autolabel s o --classes 4 --smoothing 0.2 --no-hold-out --workers 1"
    assert parse(line.split())[0] == Autolabel(
        store=Path("s"), out=Path("o"), classes=4, smoothing=0.2, hold_out=False, workers=1
    )


def test_nothing_stays_of_a_volume_that_left_the_store(store: Path, tmp_path: Path) -> None:
    """docs/promises.md: an image that two stores share would stay on disk in the other."""
    mine = recipe(store, tmp_path / "auto")
    autolabel(mine)
    index = json.loads((store / "index.json").read_text())
    for record in index["volumes"]:
        del record["stored"]  # as of an older scanprior
    gone = index["volumes"].pop(3)["id"]
    (store / "index.json").write_text(json.dumps(index))
    autolabel(mine)
    assert len(Store(tmp_path / "auto")) == 11
    assert all(volume.read().any() for volume in Store(tmp_path / "auto"))
    assert not [path for path in files(tmp_path / "auto") if gone in path]
