"""Foreign text, sink by sink."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from reconciler.report.escape import code, fenced, html, prose, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 日本 😀 ❤️", "plain ünïcode 日本 😀 ❤️"),
        ("\u202eevil", "\\u{202e}evil"),
        ("zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"),
        ("\x1b[31m\x07", "\\u{1b}[31m\\u{7}"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("no\u00a0break", "no\\u{a0}break"),
        ("tag\U000e0041", "tag\\u{e0041}"),
        ("variation\ufe0f", "variation\\u{fe0f}"),
        ("❤️\ufe0f", "❤️\\u{fe0f}"),
        ("\u3164\u2800", "\\u{3164}\\u{2800}"),
        ("\u2028\u0085", "\\u{2028}\\u{85}"),
        ("\ud800", "\\u{d800}"),
    ],
)
def test_what_hides_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "**bold** _x_ [a](http://x)",
        "<b>x</b>",
        "`code`",
        "# head",
        "- item",
        "1. item",
        "a | b",
        "@you #12",
        "www.x.y",
        "\\`x\\`",
        "&lt;",
        "![x](y)",
        "+ x",
        "=== x",
        "> q",
    ],
)
def test_prose_is_read_as_it_was_written(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(prose(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special", "html_inline"}
    assert "".join(child.content for child in children if child.type != "html_inline") == text
    assert "@you" not in prose(text)


@pytest.mark.parametrize("text", ["plain", "`", "``x``", "a ``` b", " ", "x`"])
def test_code_holds_any_backticks(text: str) -> None:
    (inline,) = [
        token for token in MarkdownIt("commonmark").parse(f"x {code(text)} y") if token.type == "inline"
    ]
    codes = [child.content for child in inline.children or [] if child.type == "code_inline"]
    assert [each.strip() for each in codes] == [text.strip()]


def test_fences_are_longer_than_what_they_hold() -> None:
    assert fenced(["````"], "diff") == "`````diff\n````\n`````"
    assert fenced([]) == "```\n```"


def test_html_is_text() -> None:
    assert html('<a href="x">&@you') == "&lt;a href=&quot;x&quot;&gt;&amp;<code>&#64;</code>you"
