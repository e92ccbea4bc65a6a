"""The findings as one HTML page with its pictures inside. Every string is escaped here."""

import html
from collections.abc import Mapping, Sequence
from itertools import groupby

from scanprior.data.checks.findings import Finding
from scanprior.html import document

_STYLE = """
table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; } td.number { text-align: right; }
.error { color: #a11; } .warning { color: #850; }
article { display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; margin: 1rem 0; }
article p { flex: 1 1 20rem; margin: 0; overflow-wrap: anywhere; }
figure { margin: 0; } figcaption, .none { color: #666; font-size: .75rem; max-width: 160px;
         overflow-wrap: anywhere; }
"""


def page(
    title: str, about: str, findings: Sequence[Finding], pictures: Mapping[str, str | None]
) -> str:
    """``findings`` (ordered) as HTML that fetches and runs nothing.

    ``pictures`` holds a PNG (base64) for each case id; None where nothing of it can be shown. A
    case that is not in it has no picture because there were too many.
    """
    parts = [f"<p>{html.escape(about)}</p>"]
    groups = [
        (severity, check, list(group))
        for (severity, check), group in groupby(findings, key=lambda f: (f.severity, f.check))
    ]
    if groups:
        rows = "".join(
            f'<tr><td class="{severity}">{severity}</td><td>{html.escape(check)}</td>'
            f'<td class="number">{len(group)}</td></tr>'
            for severity, check, group in groups
        )
        parts.append(f"<table><tr><th></th><th>check</th><th>findings</th></tr>{rows}</table>")
    for severity, check, group in groups:
        parts.append(f'<h2 class="{severity}">{html.escape(check)}</h2>')
        parts += [_article(finding, pictures) for finding in group]
    return document(title, _STYLE, "\n".join(parts))


def _article(finding: Finding, pictures: Mapping[str, str | None]) -> str:
    shown = []
    for case in finding.cases:
        name, picture = html.escape(case), pictures.get(case)
        if picture is not None:
            shown.append(
                f'<figure><img src="data:image/png;base64,{html.escape(picture)}" alt="{name}">'
                f"<figcaption>{name}</figcaption></figure>"
            )
        elif case in pictures:
            shown.append(f'<span class="none">{name}: nothing to show</span>')
    return f"<article>{''.join(shown)}<p>{html.escape(finding.sentence)}</p></article>"
