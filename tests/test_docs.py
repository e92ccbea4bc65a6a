"""Every command and block of code in the README runs, and its numbers are the committed ones."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from scanprior import cli
from scanprior.data.phantom import write_decathlon
from scanprior.nn import encoders
from scanprior.verbs import parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_results_table_is_that_of_the_results_file():
    check = [sys.executable, str(ROOT / "benchmarks" / "readme.py"), "--check"]
    assert subprocess.run(check).returncode == 0, "run python benchmarks/readme.py"


def test_make_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text()
    commands = [line for block in blocks("bash") for line in block.splitlines() if "make" in line]
    assert commands == ["make demo", "make test"]
    assert all(f"\n{command.split()[1]}:" in makefile for command in commands)


@pytest.mark.slow
def test_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_decathlon(Path("scans"), labelled=6, unlabelled=2, seed=0)
    (example,) = blocks("python")
    assert len(example.strip().splitlines()) <= 12
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "model" / "last.safetensors").is_file()
    # as the paragraph after it says
    told = json.loads(Path("run/encoder.json").read_text())
    four = (told[name] for name in ("encoder", "spatial_dims", "in_channels", "widths"))
    encoders.build(*four).load_state_dict(load_file("run/encoder.safetensors"))


QUICK = {
    "pretrain": "--steps 3 --batch-size 2",
    "finetune": "--steps 3 --batch-size 2 --labels 4",
    "study": "--test 2 --validation 1 --pretraining.steps 2 --finetuning.steps 2",
}
"""What makes a command short here; a flag given twice takes the second value."""


@pytest.mark.slow
def test_command_line_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_decathlon(Path("SOURCE"), labelled=10, unlabelled=2, seed=0)
    Path("LABELS").symlink_to(Path("SOURCE/labelsTr").resolve())
    commands = [line for b in blocks("bash") for line in b.splitlines() if "scanprior" in line]
    said = {}
    for command in commands:
        words = shlex.split(command)[1:]
        words += QUICK.get(words[0], "").split()
        cli.main([*words, "--json"])
        said[words[0]] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(said) == len(commands) == 8
    assert 0 <= said["evaluate"]["dice_mean"] <= 1
    assert Path("STUDY/results.csv").is_file()
    assert Path("STUDY/report/report.html").is_file()


SCRIPTS = [
    path
    for folder in ("benchmarks", "recipes")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "\n    scanprior " in path.read_text()
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_commands_in_a_docstring_are_commands(script, monkeypatch):
    """Their flags exist and take the values; the data need not be there."""
    monkeypatch.chdir(ROOT)
    told = ast.get_docstring(ast.parse(script.read_text())) or ""
    for line in re.sub(r"\\\n\s*", "", told).splitlines():
        if line.strip().startswith("scanprior "):
            parse(shlex.split(line)[1:])


def test_the_tree_names_every_room():
    package = ROOT / "src" / "scanprior"
    rooms = {p.name for p in package.iterdir() if not p.name.startswith("__")}
    assert {room for room in rooms if f"  {room}" not in README} == set()
