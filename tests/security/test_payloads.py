"""Files of a stranger run nothing: each carries a payload whose trace is looked for."""

import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.recipes.pretrain import Pretrain
from scanprior.saved import thaw
from tests.faults.balls import told, words
from tests.security import hostile

pytestmark = pytest.mark.slow


@pytest.fixture
def stranger(tmp_path: Path, trace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that could be imported, and would leave the trace."""
    hostile.module(tmp_path / "path", trace)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    for name in ("stranger_package", hostile.MODULE):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return hostile.MODULE


def test_the_payloads_work_where_they_are_run(trace: Path, stranger: str) -> None:
    """Else the other tests would show nothing."""
    pickle.loads(hostile.pickled(trace))
    assert trace.is_dir()
    trace.rmdir()
    importlib.import_module(stranger)
    assert trace.is_dir()


def reading(verb: str, source: Path, work: Path) -> list[str]:
    """A command that reads ``source``."""
    return {
        "doctor": ["doctor", str(source), "--out", str(work / "new")],
        "prepare": ["prepare", str(source), str(work / "new"), "--workers", "1"],
        "predict": ["predict", str(work / "run"), str(source), "--out", str(work / "new")],
    }[verb]


@pytest.mark.parametrize("verb", ["doctor", "prepare", "predict"])
def test_an_npy_with_objects(verb: str, work: Path, trace: Path, capsys) -> None:
    source = work / "hostile"
    source.mkdir()
    np.save(source / "a.npy", hostile.objects(trace), allow_pickle=True)
    (source / "b.npy").write_bytes(hostile.pickled(trace))
    assert told(reading(verb, source, work), capsys)[0] == 2
    assert not trace.exists()


@pytest.mark.parametrize("verb", ["doctor", "prepare", "predict"])
def test_an_npz_with_objects(verb: str, work: Path, trace: Path, capsys) -> None:
    path = work / "mnist.npz"
    names = [f"{part}_{what}" for part in ("train", "val", "test") for what in ("images", "labels")]
    np.savez(path, **{name: hostile.objects(trace) for name in names})
    assert told(reading(verb, path, work), capsys)[0] == 2
    assert not trace.exists()


@pytest.mark.parametrize("make", [hostile.pickled, hostile.saved_by_torch])
@pytest.mark.parametrize("place", ["pth", "safetensors", "folder", "predict"])
def test_weights_that_are_a_pickle(place: str, make, work: Path, trace: Path, capsys) -> None:
    content = make(trace)
    if place == "predict":
        for name in ("best", "last"):
            (work / "run" / f"{name}.safetensors").write_bytes(content)
        command = words("predict", work, work / "new")
    else:
        names = {"pth": "a.pth", "safetensors": "a.safetensors", "folder": "encoder.safetensors"}
        (work / "given").mkdir()
        path = work / "given" / names[place]
        path.write_bytes(content)
        start = path.parent if place == "folder" else path
        command = [*words("finetune", work, work / "new"), "--start", str(start)]
    code, sentence = told(command, capsys)
    assert code == 2
    assert sentence.startswith("scanprior: ")
    assert not trace.exists()


@pytest.mark.parametrize(
    "make", [hostile.pickled, hostile.saved_by_torch, hostile.saved_by_torch_anew]
)
@pytest.mark.parametrize("step", [1, 6])
def test_a_checkpoint_that_is_a_pickle(step: int, make, work: Path, trace: Path, capsys) -> None:
    """In the middle of a run, and as the last one of a run that seems to have ended."""
    out = work / "new"
    path = hostile.checkpoint(out, make(trace), step)
    code, sentence = told(words("pretrain", work, out), capsys)
    assert code == 2
    assert str(path) in sentence
    assert not trace.exists()


@pytest.mark.parametrize("verb", ["finetune", "predict", "transfer", "probe", "study"])
def test_weights_that_name_a_module_as_their_encoder(
    verb: str, work: Path, trace: Path, stranger: str, capsys
) -> None:
    given = work / "given" / "encoder.safetensors"
    hostile.weights(given, work / "pretext" / "encoder.safetensors", encoder=stranger)
    best = work / "run" / "best.safetensors"
    hostile.weights(best, best, encoder=stranger)
    store, out = ["--store", str(work / "store")], ["--out", str(work / "new")]
    if verb == "probe":  # it needs grades
        index = work / "store" / "index.json"
        content = json.loads(index.read_text())
        for number, record in enumerate(content["volumes"]):
            record["grade"] = number % 2
        index.write_text(json.dumps(content))
    command = {
        "finetune": [*words("finetune", work, work / "new"), "--start", str(given.parent)],
        "predict": words("predict", work, work / "new"),
        "transfer": ["transfer", str(given.parent)],
        "probe": ["probe", str(given.parent), *store, *out],
        "study": [*words("study", work, work / "new"), "--starts", f"run:{given.parent}"],
    }[verb]
    code, sentence = told(command, capsys)
    assert code == 2
    assert f"names the module {stranger!r}" in sentence
    assert f"--import {stranger}" in sentence
    assert not trace.exists()
    assert stranger not in sys.modules


@pytest.mark.parametrize("prefix", ["", "scanprior.pretext."])
def test_weights_and_recipes_that_name_a_module_as_their_task(
    prefix: str, work: Path, trace: Path, stranger: str, capsys
) -> None:
    best = work / "run" / "best.safetensors"
    hostile.weights(best, best, task={"task": prefix + stranger})
    code, sentence = told(words("predict", work, work / "new"), capsys)
    assert code == 2
    assert f"names the module {stranger!r}" in sentence
    recipe = json.loads((work / "pretext" / "recipe.json").read_text())
    recipe["task"] = {"task": prefix + stranger}
    (work / "pretext" / "recipe.json").write_text(json.dumps(recipe))
    code, sentence = told(words("pretrain", work, work / "pretext", steps=2), capsys)
    assert code == 2
    assert f"names the module {stranger!r}" in sentence
    assert not trace.exists()


@pytest.mark.parametrize("name", ["scanprior.__main__", "antigravity.x", "os.path.evil", "a..b"])
def test_no_module_is_imported_for_a_recipe(name: str) -> None:
    frozen = {"store": "s", "out": "o", "task": {"task": name}}
    before = set(sys.modules)
    with pytest.raises(InputError):
        thaw(Pretrain, frozen)
    assert set(sys.modules) == before


def test_a_module_that_the_user_names_is_imported(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The way for an encoder of one's own: by --import, or as --encoder."""
    package = tmp_path / "path" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(
        "from scanprior.nn.encoders.unet import UNetEncoder\n"
        "def build(dims, channels):\n    return UNetEncoder(dims, channels, (4, 8), False)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    given = work / "given" / "encoder.safetensors"
    named = {"encoder": "my_package.mine", "widths": None}
    hostile.weights(given, work / "pretext" / "encoder.safetensors", **named)
    plain = words("finetune", work, work / "new", steps=1)
    at = plain.index("--widths")
    plain = [*plain[:at], *plain[at + 3 :]]  # its own encoder's are not chosen
    start = ["--start", str(given.parent)]
    code, sentence = told([*plain, *start], capsys)
    assert code == 2
    assert "--import my_package.mine" in sentence
    assert told([*plain, *start, "--encoder", "my_package.mine"], capsys)[0] == 0
    monkeypatch.delitem(sys.modules, "my_package.mine")
    predict = ["predict", str(work / "new"), str(work / "scans"), "--out", str(work / "maps")]
    assert told(predict, capsys)[0] == 2
    assert "my_package.mine" not in sys.modules
    assert told([*predict, "--import", "my_package.mine"], capsys)[0] == 0
    code, sentence = told(["predict", "r", "s", "--import", "my_package.none"], capsys)
    assert code == 2
    assert "--import my_package.none cannot be done" in sentence


def test_a_split_and_an_index_are_data(work: Path, trace: Path, capsys) -> None:
    """JSON that looks like a pickle's, a call or a module is only strange JSON."""
    strange = {"py/reduce": [{"py/function": "os.mkdir"}, [str(trace)]], "__class__": "os.mkdir"}
    split, index = work / "store" / "split.json", work / "store" / "index.json"
    split.write_text(json.dumps({"train": [strange], "validation": [], "test": [], "seed": 0}))
    assert told(words("finetune", work, work / "new"), capsys)[0] == 2
    split.unlink()
    told_index = json.loads(index.read_text())
    told_index["recipe"] = strange
    told_index["volumes"][0]["id"] = strange
    index.write_text(json.dumps(told_index))
    for verb in ("pretrain", "finetune", "study"):
        assert told(words(verb, work, work / "new"), capsys)[0] == 2
    assert not trace.exists()


@pytest.mark.parametrize("verb", ["prepare", "doctor"])
def test_modules_among_the_scans(verb: str, tmp_path: Path) -> None:
    """Workers are Python processes of their own, which could look for modules where they start."""
    scans, out, trace = tmp_path / "scans", tmp_path / "out", tmp_path / "trace"
    scans.mkdir()
    for name in "ab":
        image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(9, 9, 9)), np.eye(4))
        nib.save(image, scans / f"{name}.nii.gz")
    for module in ("nibabel", "blosc2", "timeit", "pickle", "struct"):
        (scans / f"{module}.py").write_text(f"open({str(trace)!r}, 'a').write({module!r})\n")
    target = [str(out)] if verb == "prepare" else ["--out", str(out)]
    program = Path(sys.executable).with_name("scanprior")
    done = subprocess.run(
        [program, verb, ".", *target, "--workers", "2"], cwd=scans, capture_output=True, text=True
    )
    assert done.returncode < 2, done.stderr
    assert not trace.exists(), trace.read_text()
