"""A name from data is shown, whatever it holds, and never obeyed."""

import pytest
from rich.table import Table

from scanprior.console import console, plain, say

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\r\u202eb\nscanprior: all is well\udcff"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Schädel 3\u20094 – ok.nii", "Schädel 3\\u20094 – ok.nii"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_what_a_terminal_obeys_is_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_sentence_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"rejected {HOSTILE}.")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"rejected {plain(HOSTILE)}."


def test_so_are_the_cells_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("file", title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    console().print(table)
    shown = capsys.readouterr().err
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert shown.count("x1b") == 6
