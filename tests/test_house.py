"""The house's rules that a person would forget to look at."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import scanprior

SOURCES = sorted((Path(__file__).parents[1] / "src" / "scanprior").rglob("*.py"))
NAMES = [
    str(path.relative_to(path.parents[path.parts[::-1].index("scanprior")])) for path in SOURCES
]
modules = pytest.mark.parametrize("path", SOURCES, ids=NAMES)


def test_there_are_sources() -> None:
    assert len(SOURCES) > 40


@modules
def test_only_nd_knows_how_many_axes_there_are(path: Path) -> None:
    if path.name != "nd.py":
        assert re.findall("Conv2d|Conv3d|_2d|_3d|ndim ==", path.read_text()) == []


@modules
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 260


@modules
def test_nothing_from_disk_is_executed(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"\bpickle\b|\beval\(|\bexec\(", text.replace(".eval(", "")) == []
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "torch.load":
            told = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert told.get("weights_only") == "True", f"line {call.lineno}"


@modules
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree)


@modules
def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            kind = ast.unparse(node.type) if node.type else "everything"
            assert kind not in ("everything", "Exception", "BaseException"), f"line {node.lineno}"


def test_the_version_is_written_twice_and_the_same() -> None:
    told = tomllib.loads((SOURCES[0].parents[2] / "pyproject.toml").read_text())
    assert told["project"]["version"] == scanprior.__version__
