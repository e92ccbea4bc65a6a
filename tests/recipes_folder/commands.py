"""The commands in a recipe's docstring, and what makes them short enough for a test."""

import ast
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from scanprior import cli

RECIPES = Path(__file__).parents[2] / "recipes"
SHORT = (
    *("--encoder", "small", "--widths", "4", "8", "--labels", "2", "--predictions", "1"),
    *("--frozen-steps", "1", "--validate-every", "2", "--validation", "1"),
    *(
        word
        for part in ("pretraining", "finetuning")
        for name, value in (("steps", "2"), ("batch-size", "2"), ("accelerator", "cpu"))
        for word in (f"--{part}.{name}", value)
    ),
)
"""A study's flags; a flag given twice takes the second value."""


def commands(recipe: str) -> list[list[str]]:
    """The words after ``scanprior`` of each command in the docstring."""
    text = ast.get_docstring(ast.parse((RECIPES / f"{recipe}.py").read_text()))
    assert text is not None
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("    scanprior ")]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command answers; it must end with success."""
    cli.main([*words, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])
