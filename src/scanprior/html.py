"""The one shell of every HTML page that is written."""

import html

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SHELL = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
"""


def document(title: str, style: str, body: str) -> str:
    """A page under its ``title``, which is escaped here; ``style`` (CSS) and ``body`` (HTML) are
    taken as they are.

    Its content policy lets it fetch and run nothing, so it looks the same anywhere.
    """
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_SHELL}{style}</style>\n</head>\n<body>\n"
        f"<h1>{name}</h1>\n{body}\n</body>\n</html>\n"
    )
