"""Whatever data say of themselves, a page shows it as text."""

import tempfile
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scanprior.data.checks.findings import Finding
from scanprior.doctor.page import page as doctor_page
from scanprior.report.page import Grid, Heading, Picture, Points, Text
from scanprior.report.page import page as report_page

TAGS = ["<script>", "</script>", "</title>", "</style>", "<img src=x>", "<!--", "-->", "]]>"]
SIGNS = ['"', "'", "&", "<", ">", "&amp;", "&#60;", "onerror=", "javascript:", "a", " ", "\\u2028"]
PARTS = [*TAGS, *SIGNS]
evil = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), min_size=1, max_size=8).map("".join)


class Seen(HTMLParser):
    """The tags, their attributes, and all text."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # words and numbers are aligned differently, by a class of the page's own
        self.tags.append((tag, tuple(name for name, value in attrs if value != "words")))

    def handle_data(self, data: str) -> None:
        self.text += data


def same_structure(hostile: str, harmless: str, word: str) -> None:
    """The same tags with the same attributes, and the word is there to be read."""
    found, expected = Seen(hostile), Seen(harmless)
    assert found.tags == expected.tags
    assert not {tag for tag, _ in found.tags} & {"script", "iframe", "object", "embed", "link"}
    assert not [name for _, names in found.tags for name in names if name.startswith("on")]
    # a parser makes one space of line ends, and one sign of characters that text may not hold
    wanted = word.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    assert wanted.strip() in found.text.replace("\r\n", "\n").replace("\r", "\n").replace(
        "\0", "\ufffd"
    )


@given(evil)
@settings(deadline=None)
def test_the_doctors_page_shows_every_string_as_text(word: str) -> None:
    def page(text: str) -> str:
        finding = Finding(text, "error", text, text, (text, "b"))
        return doctor_page(text, text, [finding], {text: "AAAA", "b": None})

    same_structure(page(word), page("plain"), word)


@given(evil)
@settings(deadline=None)
def test_the_reports_page_shows_every_string_as_text(word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.png").write_bytes(b"picture")

        def page(text: str) -> str:
            blocks = [
                Heading(text),
                Text(text),
                Points([text, "b"]),
                Grid([text, "b"], [[text, "1"], ["c", text]], "table.csv"),
                Picture("a.png", text),
            ]
            return report_page(text, blocks, Path(folder))

        same_structure(page(word), page("plain"), word)
