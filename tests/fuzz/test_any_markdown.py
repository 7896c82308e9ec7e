"""Whatever a model writes: it is shown without anything that acts, and read as data or told why."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from fuzz.mutating import KEY, mutated, only_our_errors
from hypothesis import given
from markdown_attacks import ATTACKS
from shown_page import Page

from openhands_llm_magic.notebook.view import display, sanitize
from openhands_llm_magic.notebook.view.sanitize import to_html, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = (
    *("\n", "\n\n", "    ", "\t", "`", "```", "~~~\n", "```json\n", "# ", "> ", "- ", "1. ", "|"),
    *("|a|b|\n|-|-|\n", "[", "](", ")", "![", "<", ">", "</", "/>", "<!--", "-->", "&", "&#", ";"),
    *("$", "$$", "\\(", "\\)", "\\[", "\\]", "\\begin{align}", "\\end{align}", "\\href{", "{", "}"),
    *("javascript:", "data:text/html,", "https://", "mailto:", "//evil.example", " onerror=hit=1"),
    *("<svg", "<math", "<style>", "<script>", "<img src=x", "<details>\n", "</details>", "<sub>"),
    *("[^1]", "[^1]: ", "> [!NOTE]\n", "- [ ] ", "~~", "**", "_", '{"a": [1, 2]}', "\\def\\x{y}"),
)
ANSWERS = (*ATTACKS.values(), "a " * 40, "1. a\n\n   b\n- c\n", '```json\n{"a": 1}\n```', "x = 1\n")
COMMANDS = re.compile(r"\\(href|style|def|newcommand|require|class|cssId)(?![a-z])")
TEXTS = mutated(ANSWERS, PIECES, most=8).map(lambda text: text.replace(KEY, "key"))
"""Keys are masked before an answer is shown."""


class Events(HTMLParser):
    """What a parser tells of a piece of HTML, in whichever order the attributes are."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.told: list[tuple[object, ...]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.told.append((tag, *sorted(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.told.append(("/", tag))

    def handle_data(self, data: str) -> None:
        self.told.append(("text", data))


def shows_safely(shown: str, clean: Callable[[str], str]) -> None:
    """Require that HTML holds what is allowed alone, also as another parser reads it.

    What was cleaned comes out of a browser's parser as it went in: there is no second meaning.
    """
    page = Page(shown)
    assert page.forbidden == []
    assert not COMMANDS.search(" ".join(page.formulas))
    inner = shown.partition(">")[2].removesuffix("</div>")
    if shown.startswith("<div"):
        assert Events(clean(inner)).told == Events(inner).told


@given(TEXTS)
def test_any_answer_in_markdown(text: str) -> None:
    shows_safely(to_html(text), sanitize._clean_ours())


@given(TEXTS)
def test_any_answer_in_html(text: str) -> None:
    shows_safely(sanitize.html_to_html(text), sanitize._clean_theirs())


@given(TEXTS)
def test_any_answer_in_other_formats(text: str) -> None:
    plain = to_plain(text)
    assert to_plain(plain) == plain
    for form, show in display.FORMATS.items():
        assert Page(show(text)).forbidden == []
        with only_our_errors():
            display.data_of(text, form)
