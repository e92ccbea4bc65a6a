"""`scanprior study`: flags, a Python file, and flags after it."""

import subprocess
import sys
from pathlib import Path

import pytest

from scanprior import cli, verbs
from scanprior.contracts import InputError
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.fit import Training
from scanprior.study import Study, run_study
from scanprior.verbs import parse

FILE = """
from pathlib import Path
from scanprior.fit import Training
from scanprior.study import Study
study = Study(store=Path("s"), out=Path("o"), labels=(3, "50%"), finetuning=Training(steps=7))
"""


def test_flags_are_the_study() -> None:
    line = (
        "study --store s --out o --starts scratch rpl-2d --labels 3 25% --seeds 4 "
        "--pretraining.steps 9 --finetuning.lr 0.01 --task.flip-axes 2 --overrides rpl-2d.steps=5"
    )
    study, run = parse(line.split())
    assert run is run_study
    assert study == Study(
        store=Path("s"),
        out=Path("o"),
        starts=("scratch", "rpl-2d"),
        labels=(3, "25%"),
        seeds=(4,),
        pretraining=Training(steps=9),
        finetuning=Training(lr=0.01),
        task=Segmentation(flip_axes=(2,)),
        overrides=("rpl-2d.steps=5",),
    )
    line = "classification --store s --out o --task.answer ordinal"
    graded, _ = parse(["study", *line.split()])
    assert graded.task == Classification(answer="ordinal")


def test_a_file_is_a_study_and_flags_change_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    study, _ = parse(["study", str(path), "--seeds", "8", "--dry-run"])
    assert study == Study(
        store=Path("s"),
        out=Path("o"),
        labels=(3, "50%"),
        seeds=(8,),
        finetuning=Training(steps=7),
        dry_run=True,
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("x = 1", "holds no study"), ("study = Study(", "cannot be run"), (None, "does not exist")],
)
def test_a_file_without_a_study(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        parse(["study", str(path)])


def test_a_failed_cell_is_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "run_study", lambda study: {"failures": {"a cell": "no memory"}})
    with pytest.raises(SystemExit) as ended:
        cli.main(["study", "--store", "s", "--out", "o", "--json"])
    assert ended.value.code == 1
    assert '"a cell": "no memory"' in capsys.readouterr().out


WORDS = """
from scanprior.contracts import InputError
from scanprior.study import Study

study = Study(store="a/store", out="b", starts=["scratch"], labels=[1], seeds=[0], split="s.json")
print(study.store.name, study.split.suffix, study.starts, study.labels, study.seeds)
for told in ({"test": "8"}, {"labels": 5}, {"starts": "jigsaw"}, {"crop": 16}, {"store": 3}):
    try:
        Study(**({"store": "a", "out": "b"} | told))
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_study_is_written_by_hand() -> None:
    """In a process of its own: here, types are checked before the study is asked."""
    ran = subprocess.run([sys.executable, "-c", WORDS], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "store .json ('scratch',) (1,) (0,)",
        "of a study test is '8', not a whole number.",
        "of a study labels is 5, not a list.",
        "of a study starts is 'jigsaw', not a list.",
        "of a study crop is 16, not a list.",
        "of a study store is 3, not text.",
    ]
