"""A store: every array as recorded, no patient in two splits, a damaged index in a sentence."""

import json
import shutil

import blosc2
import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import write_array
from scanprior.doctor import Doctor, run_doctor


@pytest.fixture
def store(ball_store, tmp_path):
    return shutil.copytree(ball_store, tmp_path / "store")


def edit(store, i, **facts):
    index = json.loads((store / "index.json").read_text())
    index["volumes"][i] |= facts
    (store / "index.json").write_text(json.dumps(index))


def doctor(store, tmp_path, **options):
    return run_doctor(Doctor(source=store, out=tmp_path / "out", workers=1, **options))


def checks(result):
    return [(found["severity"], found["check"], found["cases"]) for found in result["findings"]]


def test_sound(store, tmp_path):
    result = doctor(store, tmp_path)
    assert result["findings"] == []
    assert result["cases"] == 12


def image(store, name="ball_03", kind="image"):
    return store / "volumes" / f"{name}.{kind}.b2nd"


def cut(store):
    path = image(store)
    path.write_bytes(path.read_bytes()[:-500])


def smear(store):
    """A chunk that did not compress holds its numbers as they are."""
    data = bytearray(image(store).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    image(store).write_bytes(bytes(data))


def replaced(value, kind="image", shape=None):
    def fault(store):
        old = blosc2.open(str(image(store, kind=kind)), mode="r")[:]
        new = np.full(shape or old.shape, value) if np.isscalar(value) else value(old)
        write_array(image(store, kind=kind), new.astype(old.dtype))

    return fault


def with_nan(old):
    new = old.copy()
    new[0, 2, 2, 2] = np.nan
    return new


FAULTS = {
    "gone": (lambda store: image(store).unlink(), "missing"),
    "no bytes": (lambda store: image(store).write_bytes(b""), "empty"),
    "cut": (cut, "unreadable"),
    "smeared": (smear, "NaN or infinity"),
    "no label": (lambda store: image(store, kind="label").unlink(), "missing"),
    "constant": (replaced(2.0), "constant"),
    "NaN": (replaced(with_nan), "NaN or infinity"),
    "smaller": (replaced(lambda old: old[:, 1:]), "not as recorded"),
    "smaller label": (replaced(lambda old: old[1:], "label"), "not as recorded"),
    "other numbers": (replaced(lambda old: old[:, ::-1]), "not as recorded"),
    "other label": (replaced(lambda old: old[::-1], "label"), "not as recorded"),
    "more classes": (replaced(lambda old: 3 * old, "label"), "label values"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(store, tmp_path, name):
    fault, check = FAULTS[name]
    fault(store)
    assert checks(doctor(store, tmp_path)) == [("error", check, ["ball_03"])]


def test_a_shared_patient(store, tmp_path):
    edit(store, 2, patient="p", partition="test")
    edit(store, 5, patient="p")
    edit(store, 7, patient="p")  # the same split as 5
    assert checks(doctor(store, tmp_path)) == [
        ("error", "patient in two splits", ["ball_02", "ball_05"])
    ]


def test_a_split_of_its_own_comes_first(store, tmp_path):
    edit(store, 2, patient="p", partition="test")
    edit(store, 5, patient="p")
    ids = [f"ball_{i:02}" for i in range(12)]
    Split(tuple(ids[:8]), tuple(ids[8:]), (), seed=0).save(store / "split.json")
    assert checks(doctor(store, tmp_path)) == []
    given = tmp_path / "split.json"
    Split(tuple(ids[:4]), tuple(ids[4:]), ("a" * 100_000,), seed=0).save(given)
    result = doctor(store, tmp_path, split=given)
    assert [check for _, check, _ in checks(result)] == [
        "patient in two splits",
        "unknown volume",
    ]
    assert len(result["findings"][1]["sentence"]) < 200


def test_duplicates(store, tmp_path):
    edit(store, 0, sha256="1")
    edit(store, 1, sha256="1", partition="val")
    shutil.copy(image(store, "ball_04"), image(store, "ball_05"))
    shape = list(blosc2.open(str(image(store, "ball_04")), mode="r").shape)
    write_array(image(store, "ball_05", "label"), np.ones(shape[1:], np.uint8))
    edit(store, 5, shape=shape)
    found = checks(doctor(store, tmp_path))
    assert ("error", "duplicates that disagree", ["ball_04", "ball_05"]) in found
    assert ("error", "duplicates across splits", ["ball_00", "ball_01"]) in found


@pytest.mark.parametrize(
    ("known", "how"),
    [({"hashed": "files"}, "byte for byte"), ({"hashed": "voxels"}, "voxel for voxel")],
)
def test_what_a_volume_was_made_of_is_compared(store, tmp_path, known, how):
    for i in (2, 5):
        edit(store, i, sha256="1", **known)
    (found,) = doctor(store, tmp_path)["findings"]
    assert found["cases"] == ["ball_02", "ball_05"]
    assert f"are the same image {how}," in found["sentence"]


def test_strays(store, tmp_path):
    shutil.copy(image(store), image(store, "other"))
    assert checks(doctor(store, tmp_path)) == [("warning", "unlisted", [])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"classes": 2, "volumes": []}',
        '{"classes": 2, "volumes": [3]}',
        '{"classes": 2, "volumes": [{"id": "a"}]}',
        '{"classes": 2, "volumes": [{"id": "a", "patient": "a", "labelled": true, '
        '"shape": [null], "spacing": [1]}]}',
        '{"classes": 2, "volumes": [{"id": "../a", "patient": "a", "labelled": true, '
        '"shape": [1, 2, 2], "spacing": [1, 1]}]}',
    ],
)
def test_a_damaged_index(store, tmp_path, text):
    (store / "index.json").write_text(text)
    with pytest.raises(InputError, match=r"index\.json"):
        doctor(store, tmp_path)


def test_a_store_is_not_mended(store, tmp_path):
    with pytest.raises(InputError, match="prepared again"):
        doctor(store, tmp_path, fix=tmp_path / "fix")


def test_an_array_that_asks_for_more_than_the_limit_is_unreadable(store, tmp_path, monkeypatch):
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", "100")
    found = doctor(store, tmp_path)["findings"]
    assert found[0]["check"] == "unreadable"
    assert "SCANPRIOR_MAX_VOXELS" in found[0]["sentence"]
