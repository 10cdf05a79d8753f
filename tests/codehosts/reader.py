"""What a code host makes of a comment: an independent reader of Markdown and HTML, and what it finds outside code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

OURS = {
    "h2",
    "h3",
    "p",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "b",
    "strong",
    "em",
}
OURS |= {"blockquote", "pre", "code", "ul", "li"}


@dataclass
class Seen(HTMLParser):
    """The text and the tags outside code, and the comments."""

    text: str = ""
    tags: set[str] = field(default_factory=set)
    comments: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("code", "pre"):
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("code", "pre"):
            self.open_tags.pop()

    def handle_data(self, data: str) -> None:
        if not self.open_tags:
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())


def seen(markdown: str) -> Seen:
    found = Seen()
    found.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))
    assert found.open_tags == []
    return found


def problems(body: str, *, markers: int = 1) -> list[str]:
    """What a fleet's texts would do in a comment, were it not code; `markers` of ours are none."""
    found = seen(body)
    wrong = [f"a tag: {each}" for each in sorted(found.tags - OURS)]
    wrong += [f"a comment: {each}" for each in found.comments[markers:]]
    wrong += [f"a mention: {each}" for each in re.findall(r"@\w+", found.text)]
    wrong += [f"a reference: {each}" for each in re.findall(r"(?<![\w\[])[#!~%$]\w+", found.text)]
    wrong += [f"an address: {each}" for each in re.findall(r"(?:\w+://|www\.)\S*", found.text)]
    wrong += [f"a quick action: {line}" for line in body.split("\n") if line.startswith("/")]
    wrong += [f"a command: {line}" for line in body.split("\n") if re.match(r"\s*(::|##\[)", line)]
    plain = re.sub(r"^(`{3,}).*?^\1$", "", body, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"(`+)[^`].*?[^`]\1", "", plain)
    wrong += [
        f"unread: {each}" for each in re.findall(r"@\w+|!\[|\]\(|<script|<img|<a |<!--", plain)[markers:]
    ]
    return wrong
