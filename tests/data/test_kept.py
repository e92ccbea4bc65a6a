"""JSON is checked as what it must be, in sentences that read as such."""

from pathlib import Path
from typing import Any, Literal

import pytest

from scanprior.contracts import InputError
from scanprior.data.kept import parsed, wrong


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 3),
        (float, 3),
        (float | None, None),
        (Literal["a", 1], 1),
        (tuple[int, str], [1, "x"]),
        (list[float], [1, 2.5]),
        ({"a": int}, {"a": 1, "b": None}),
        (Path, "x/y"),
        (object, "any\ntext"),
    ],
)
def test_what_is_right(kind: Any, value: Any) -> None:
    assert wrong(kind, value) is None


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Literal["a"], "b", "it is 'b', not one of a"),
        (bool, 3, "it is 3, not yes or no"),
        (type(None), 3, "it is 3, not null"),
        (str, "a\tb", "it is 'a\\tb', not text"),
        (int, True, "it is True, not a whole number"),
        (int, 2**64, f"it is {2**64}, not a whole number"),
        (float, "1", "it is '1', not a number"),
        (list[int], 3, "it is 3, not a list"),
        (list[int], [1, "x"], "it[1] is 'x', not a whole number"),
        (tuple[int, int], [1], "it has 1 entries, not 2"),
        ({"a": {"b": int}}, {"a": {"b": None}}, "a.b is None, not a whole number"),
        ({"a": int}, {}, "it lacks 'a'"),
        ({"a": int}, [], "it is a list, not an object"),
    ],
)
def test_what_is_wrong_is_said(kind: Any, value: Any, said: str) -> None:
    assert wrong(kind, value) == said


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "\udfff"])
def test_what_is_no_json_is_said_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(InputError, match=r"a\.json is .*; write it anew\.$"):
        parsed(path, "write it anew")
