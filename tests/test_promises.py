"""docs/promises.md promises nothing that no test holds."""

import ast
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text()
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", re.MULTILINE)
LINKS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def pins(file: str) -> dict[str, str]:
    """Each package's version, by its name as the index spells it."""
    text = (ROOT / file).read_text()
    return {re.sub(r"[._]", "-", name.lower()): version for name, version in PIN.findall(text)}


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def named(body: Sequence[ast.stmt], name: str) -> ast.FunctionDef | None:
    return next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def is_never(mark: ast.expr) -> bool:
    """Whether a mark, or a call, keeps a test from running or failing whatever holds:
    ``pytest.mark.skip``, ``xfail`` without a condition, ``skipif(True)``, ``pytest.skip(...)``."""
    call = mark if isinstance(mark, ast.Call) else None
    name = ast.unparse(call.func if call else mark).rpartition(".")[2]
    condition = call.args[0] if call and call.args else None
    if name == "skipif":
        return isinstance(condition, ast.Constant) and bool(condition.value)
    return name == "skip" or (name == "xfail" and condition is None)


def never_runs(module: ast.Module, name: str) -> bool:
    """Whether the test of that name, or its whole module, is skipped without a condition."""
    test = named(module.body, name)
    assert test is not None
    marks = list(test.decorator_list)
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            whole = node.value
            marks += whole.elts if isinstance(whole, ast.List | ast.Tuple) else [whole]
    for node in (*module.body, *test.body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            marks.append(node.value)
    return any(is_never(mark) for mark in marks)


@pytest.mark.parametrize(("path", "name"), LINKS, ids=["::".join(link) for link in LINKS])
def test_the_test_of_a_promise_exists_and_runs(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert named(parsed(path).body, name)
    assert not never_runs(parsed(path), name)


def test_every_promise_has_its_test() -> None:
    promises = [line for line in TEXT.splitlines() if line.startswith("- ")]
    assert len(promises) >= 15
    assert [line for line in promises if "`tests/" not in line] == []


SKIPPED = (
    "@pytest.mark.skip\ndef test_it(): ...",
    "@pytest.mark.skip(reason='slow')\ndef test_it(): ...",
    "@pytest.mark.slow\n@pytest.mark.xfail\ndef test_it(): ...",
    "@pytest.mark.xfail(reason='known')\ndef test_it(): ...",
    "@pytest.mark.skipif(True, reason='never')\ndef test_it(): ...",
    "pytestmark = [pytest.mark.slow, pytest.mark.skip]\ndef test_it(): ...",
    "pytestmark = pytest.mark.skip\ndef test_it(): ...",
    "pytest.skip('not here', allow_module_level=True)\ndef test_it(): ...",
    "def test_it():\n    pytest.skip('later')\n    assert 1",
)
RUN = (
    "@pytest.mark.slow\ndef test_it(): ...",
    "@pytest.mark.skipif(sys.platform == 'win32', reason='no fork')\ndef test_it(): ...",
    "@pytest.mark.xfail(sys.platform == 'win32')\ndef test_it(): ...",
    "pytestmark = pytest.mark.slow\ndef test_it(): ...",
    "def test_it():\n    if not DISK:\n        pytest.skip('no disk')\n    work()",
)


@pytest.mark.parametrize(("text", "never"), [*((t, 1) for t in SKIPPED), *((t, 0) for t in RUN)])
def test_a_skip_without_a_condition_would_be_noticed(text: str, never: int) -> None:
    assert never_runs(ast.parse(text), "test_it") == never


def test_the_lock_pins_what_the_constraints_pin_and_every_line_has_a_hash() -> None:
    assert pins("requirements.lock") == pins("constraints.txt")
    lock = (ROOT / "requirements.lock").read_text().strip()
    assert all("--hash=sha256:" in line for line in re.split(r"\n(?=\w)", lock))
