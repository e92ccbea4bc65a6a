"""A command line is a recipe, spelt; what goes wrong is one sentence and a code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from scanprior import cli, pretext, verbs
from scanprior.bench import Bench
from scanprior.contracts import InputError
from scanprior.data.prepare import Prepare
from scanprior.demo import Demo
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.pretext.rpl import RelativePatchLocation
from scanprior.recipes.evaluate import Evaluate
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.predict import Predict
from scanprior.recipes.pretrain import Pretrain
from scanprior.verbs import parse
from tests.recipes.scans import AFFINES, write_scans


@pytest.mark.parametrize("told", [["--json"], ["--import", "json"], ["--import=json", "--help"]])
def test_help_is_shown_beside_flags_of_every_command(told: list[str], capsys):
    cli.main(told)
    assert "scanprior prepare" in capsys.readouterr().out


@pytest.mark.parametrize("name", [".mine", "", "no_such_package.mine"])
def test_a_module_that_cannot_be_imported_is_a_sentence(name: str, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["prepare", "a", "b", f"--import={name}"])
    assert ended.value.code == 2
    assert f"--import {name} cannot be done" in capsys.readouterr().err


STORE, OUT, RUN = Path("s"), Path("o"), Path("r")
LINES = {
    "prepare scans s": Prepare(source=Path("scans"), store=STORE),
    "prepare scans s --spacing 1 1 2.5 --intensity window --window -160 240 --workers 2": Prepare(
        source=Path("scans"),
        store=STORE,
        spacing=(1.0, 1.0, 2.5),
        intensity="window",
        window=(-160.0, 240.0),
        workers=2,
    ),
    "prepare --source scans --store s --spacing median --modalities Flair T1c": Prepare(
        source=Path("scans"), store=STORE, spacing="median", modalities=("Flair", "T1c")
    ),
    "pretrain rpl --store s --out o --grid 5 --steps 7 --crop 32 32 32 --widths 4 8": Pretrain(
        store=STORE,
        out=OUT,
        task=RelativePatchLocation(grid=5),
        crop=(32, 32, 32),
        widths=(4, 8),
        training=Training(steps=7),
    ),
    "pretrain rpl --store s --out o --spatial-dims 2 --no-hold-out --lr 3e-4": Pretrain(
        store=STORE,
        out=OUT,
        task=RelativePatchLocation(),
        spatial_dims=2,
        hold_out=False,
        training=Training(lr=3e-4),
    ),
    "finetune segmentation --store s --out o": Finetune(store=STORE, out=OUT),
    "finetune segmentation --store s --start r --out o --labels 10 --deep-supervision": Finetune(
        store=STORE, out=OUT, start="r", labels=10.0, task=Segmentation(deep_supervision=True)
    ),
    "finetune segmentation --store s --out o --steps 5 --frozen --flip-axes 2": Finetune(
        store=STORE,
        out=OUT,
        frozen=True,
        task=Segmentation(flip_axes=(2,)),
        training=Training(steps=5, lr=4e-3),
    ),
    "predict r scans --out o --mirror 0 2": Predict(
        run=RUN, source=Path("scans"), out=OUT, mirror=(0, 2)
    ),
    "evaluate p l --out o.csv --regions brats": Evaluate(
        predictions=Path("p"), labels=Path("l"), out=Path("o.csv"), regions="brats"
    ),
    "bench views --repeats 2": Bench(what="views", repeats=2),
    "demo --out o --labels 5": Demo(out=OUT, labels=5),
}


@pytest.mark.parametrize("line", LINES)
def test_flags_are_the_recipe_s_fields(line: str) -> None:
    assert parse(line.split())[0] == LINES[line]


@pytest.mark.parametrize("name", pretext.names())
def test_every_task_has_its_own_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = parse(["pretrain", name, "--store", "s", "--out", "o"])[0]
    assert recipe == Pretrain(store=STORE, out=OUT, task=pretext.find(name)())
    with pytest.raises(SystemExit) as ended:
        cli.main(["pretrain", name, "--help"])
    assert ended.value.code == 0
    assert "--store" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "pretrain rpl --store s --out o --tempreature 3",
        "pretrain rpl --store s",
        "prepare scans s extra",
        "predict r scans --out o --overlap much",
        "pretrain rotation --store s --out o --grid 3",
    ],
)
def test_flags_that_do_not_exist_end_with_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line.split())
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("train", "no command 'train'"),
        ("pretrain", "pretrain what?"),
        ("pretrain cubes --store s --out o", "'cubes'"),
        ("pretrain my.own --store s --out o", "cannot be imported"),
        ("finetune --store s --out o", "finetune what?"),
        ("pretrain rpl --store nowhere --out o", "is not a store"),
        ("pretrain rpl --store s --out o --steps 0", "steps 0 is impossible"),
        ("prepare nowhere store", "nowhere does not exist"),
        ("predict nowhere scans --out o", "does not exist"),
        ("evaluate nowhere labels --out o.csv", "label maps"),
        ("bench speed", "'speed'"),
    ],
)
def test_bad_input_is_one_sentence(
    line: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(line.split())
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert sentence in said.err
    assert said.err.startswith("scanprior: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(words)
    said = capsys.readouterr().out
    for name in ("prepare", "pretrain", "finetune", "predict", "evaluate", "bench", "demo"):
        assert f"scanprior {name} " in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--version"])
    assert capsys.readouterr().out.strip().count(".") == 2


def test_an_interrupt_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "bench", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "step"])
    assert ended.value.code == 130
    assert "the same command continues" in capsys.readouterr().err


def test_parse_raises_what_main_prints() -> None:
    with pytest.raises(InputError, match="no command"):
        parse(["nothing"])


def run(line: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON object on the last line of standard output."""
    cli.main([*line.split(), "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=_not_json)


def _not_json(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


def test_a_rejected_scan_is_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = write_scans(tmp_path / "scans", {"plain": AFFINES["plain"], "half": AFFINES["plain"]})
    broken = scans / "imagesTr" / "half.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(SystemExit) as ended:
        cli.main(["prepare", str(scans), str(tmp_path / "store"), "--workers", "1", "--json"])
    assert ended.value.code == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["volumes"], said["rejected"]) == (1, 1)


@pytest.mark.slow
def test_the_whole_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    t = tmp_path
    affines = {f"{name}{i}": affine for i in range(2) for name, affine in AFFINES.items()}
    scans = write_scans(t / "scans", affines)
    small = (
        "--widths 4 8 --crop 16 16 16 --accelerator cpu --precision 32 --batch-size 2 --warmup 0"
    )
    said = run(f"prepare {scans} {t}/store --spacing 1 1 1 --workers 1", capsys)
    assert (said["volumes"], said["rejected"]) == (10, 0)
    run(f"pretrain rotation --store {t}/store --out {t}/pretext {small} --steps 3", capsys)
    said = run(
        f"finetune segmentation --store {t}/store --start {t}/pretext --out {t}/run {small} "
        "--steps 4 --labels 4",
        capsys,
    )
    assert said["labels"] == 4
    said = run(f"predict {t}/run {scans} --out {t}/predicted", capsys)
    assert (said["predicted"], said["rejected"]) == (10, {})
    for name in affines:
        assert nib.load(t / "predicted" / f"{name}.nii.gz").shape == (24, 26, 22)
    said = run(f"evaluate {t}/predicted {scans}/labelsTr --out {t}/scores.csv", capsys)
    assert said["dice_per_class"].keys() == {"1"}
    assert 0 <= said["dice_mean"] <= 1
    said = run(f"evaluate {scans}/labelsTr {scans}/labelsTr --out {t}/perfect.csv", capsys)
    assert said["dice_mean"] == said["dice_per_class"]["1"] == 1


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_does_not_wait_for_torch(word: str) -> None:
    ask = f"import sys; from scanprior import cli; cli.main(['{word}'])"
    ask += "; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "False"


def test_one_json_object_whatever_is_undefined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NaN and Infinity are no JSON, and most readers refuse them."""
    said = {"knn": {"kappa": float("nan")}, "intervals": [float("inf"), 0.5], "out": Path("o")}
    monkeypatch.setattr(verbs, "probe", lambda recipe: said)
    cli.main(["probe", "scratch", "--store", "s", "--out", "o.csv", "--json"])
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert told == {"knn": {"kappa": None}, "intervals": [None, 0.5], "out": "o"}


def test_a_person_reads_a_line_an_entry():
    told = cli._lines({"out": "o", "rejected": {"a": "cut short", "b": "gone"}, "failures": {}})
    assert list(told) == ["out: o", "rejected:", "  a: cut short", "  b: gone", "failures: none"]
