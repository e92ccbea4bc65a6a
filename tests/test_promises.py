"""docs/promises.md promises nothing that no test holds."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text()
LINKS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), LINKS, ids=["::".join(link) for link in LINKS])
def test_the_test_of_a_promise_exists(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names_in(path)


def test_every_promise_has_its_test() -> None:
    promises = [line for line in TEXT.splitlines() if line.startswith("- ")]
    assert len(promises) >= 15
    assert [line for line in promises if "`tests/" not in line] == []
