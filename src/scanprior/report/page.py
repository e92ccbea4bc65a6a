"""A report as Markdown and as one HTML page: what is said once, written twice.

Every string is escaped here and nowhere else: names come from files that anybody may have written.
"""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scanprior.html import document
from scanprior.whole import replacing


class Heading(NamedTuple):
    text: str


class Text(NamedTuple):
    text: str


class Points(NamedTuple):
    items: Sequence[str]


class Grid(NamedTuple):
    """A table of cells ready to show; ``file`` is the CSV beside the report with its numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    file: str = ""


class Picture(NamedTuple):
    """A PNG in the report's folder, and what it shows."""

    file: str
    words: str


Block = Heading | Text | Points | Grid | Picture

_STYLE = """
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
         white-space: nowrap; font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #888; } .words { text-align: left; }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; }
figcaption, .file { color: #666; font-size: .85rem; }
"""


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The report as Markdown that names the files beside it."""
    parts = [f"# {_plain(title)}"]
    for block in blocks:
        match block:
            case Heading(text):
                parts.append(f"## {_plain(text)}")
            case Text(text):
                parts.append(_plain(text))
            case Points(items):
                parts.append("\n".join(f"- {_plain(item)}" for item in items))
            case Grid(heads, rows, file):
                lines = [heads, ["---"] * len(heads), *rows]
                table = ["| " + " | ".join(_plain(c) for c in cells) + " |" for cells in lines]
                parts += ["\n".join(table), *([f"Numbers: [{file}]({file})"] if file else [])]
            case Picture(file, words):
                parts.append(f"![{_plain(words)}]({file})")
    return "\n\n".join(parts) + "\n"


def page(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """The report as one HTML page with the pictures of ``folder`` inside it."""
    return document(title, _STYLE, "\n".join(_html(block, folder) for block in blocks))


def _html(block: Block, folder: Path) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Points(items):
            return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"
        case Grid(heads, rows, file):
            lines = [_row("th", heads), *(_row("td", row) for row in rows)]
            note = f'<p class="file">Numbers: {html.escape(file)}</p>' if file else ""
            return f'<div class="table"><table>{"".join(lines)}</table></div>{note}'
        case Picture(file, words):
            data = base64.b64encode((folder / file).read_bytes()).decode()
            said = html.escape(words)
            return (
                f'<figure><img src="data:image/png;base64,{data}" alt="{said}">'
                f"<figcaption>{said}</figcaption></figure>"
            )


def _row(tag: str, cells: Sequence[str]) -> str:
    """Words to the left, numbers to the right."""
    return (
        "<tr>"
        + "".join(
            f"<{tag}{' class=words' if cell[:1].isalpha() else ''}>{html.escape(cell)}</{tag}>"
            for cell in cells
        )
        + "</tr>"
    )


def _plain(text: str) -> str:
    """Neither HTML nor Markdown, whatever ``text`` holds."""
    for sign in "\\`*_[]|#":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def write(path: Path, text: str) -> None:
    """Write whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
