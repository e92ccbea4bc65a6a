"""The shell is a whole page whose title is only text, and which fetches and runs nothing."""

from html.parser import HTMLParser

from scanprior.html import document


class Tags(HTMLParser):
    """Tags as they open and close, and the text of the title and of the heading."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.said: dict[str, str] = {}

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.said[self.open[-1]] = data


def test_document():
    title = "</title><script>alert('x')</script> & \"more\""
    text = document(title, "p { color: red; }", "<p>said</p>")
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.seen
    assert (page.said["title"], page.said["h1"], page.said["p"]) == (title, title, "said")
    assert "p { color: red; }" in page.said["style"]
    assert text.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in text
