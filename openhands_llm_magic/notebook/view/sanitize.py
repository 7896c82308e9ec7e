r"""A model's Markdown made safe to show in a *trusted* notebook.

JupyterLab runs what is in the Markdown or HTML output of a trusted notebook, so a model's text
reaches it as neither. It is rendered here with HTML off, cleaned against an allow-list, and shown
as text/html beside text/plain.

Three habits of JupyterLab (4.6) decide what the HTML looks like:

- MathJax looks for formulas in the whole output. The output is therefore ``mathjax_ignore``, except
  for each formula found here, alone in its own ``mathjax_process`` span: money never becomes
  mathematics. (``tex2jax_`` tells MathJax 2 the same, which nbconvert's HTML export loads.)
- Its style sheet aligns every cell of an HTML table right, over the cell's own ``align``. What is
  in a cell therefore stands in a ``<div align=…>``.
- It colours Pygments' short classes inside ``<div class="highlight">``, and leaves no space around
  that.
"""
# ruff: noqa: PLC0415 - the renderer takes 25 ms to import, and only an answer needs it

from __future__ import annotations

import functools
import html
import re
from typing import TYPE_CHECKING

from openhands_llm_magic.llm.characters import whole
from openhands_llm_magic.notebook.view import formulas
from openhands_llm_magic.notebook.view.clean import cleaner, is_web_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

MAX_RENDERED = 100_000
"""Longest text, in characters, that is rendered; a longer one is shown as it is."""

# Two shapes on which markdown-it takes quadratic time: so many brackets 0.5 s, this depth 2 s.
_MAX_BRACKETS = 20_000
_DEEP_QUOTE = re.compile(r"^(?:[ \t\d*+.)-]*>){10}", re.MULTILINE)
_MAX_NESTING = 100  # Levels, where markdown-it starts to drop text. (CommonMark's preset: 20.)

_CODE_STYLE = "margin: 1em 0"
_IGNORE_MATH = "llm-reply mathjax_ignore tex2jax_ignore"


def to_html(markdown: str, *, colours: bool = True) -> str:
    """Render a model's Markdown as HTML that neither runs, nor loads, nor navigates by itself.

    CommonMark with tables, strikethrough and mathematics. HTML is shown as text, an image becomes a
    link, a link leads to http, https or mailto only and opens a new tab.

    Args:
        markdown: What the model wrote.
        colours: Whether code is coloured, which makes it up to four times as long.

    Returns:
        One ``<div class="llm-reply …">``, or what `plain_to_html` makes of a text that is longer
        than `MAX_RENDERED`, nested too deeply, or of a shape that would take seconds.
    """
    text = to_plain(markdown)
    if len(text) > MAX_RENDERED or text.count("[") > _MAX_BRACKETS or _DEEP_QUOTE.search(text):
        return plain_to_html(text)
    parser = _parser()
    try:
        tokens = parser.parse(text)
    except RecursionError:
        return plain_to_html(text)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return plain_to_html(text)
    if not colours:
        for token in tokens:
            token.info = ""  # the language of a code block
    rendered = str(parser.renderer.render(tokens, parser.options, {}))
    return f'<div class="{_IGNORE_MATH}">{_clean_ours()(rendered)}</div>'


def html_to_html(text: str) -> str:
    """Clean a model's own HTML: what runs, loads, navigates or has a style is taken out.

    Nothing in it is mathematics, and it has no classes, which could make it look like ours.
    """
    if len(text) > MAX_RENDERED:
        return plain_to_html(text)
    return f'<div class="{_IGNORE_MATH}">{_clean_theirs()(to_plain(text))}</div>'


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def to_plain(text: str) -> str:
    """Give a model's text without what a terminal would obey, for text/plain and terminals.

    Removes the C0 and C1 controls (ESC, BEL, backspace…) and the characters that reorder text
    (those of CVE-2021-42574). Newline and tab stay; a carriage return becomes a newline, half a
    surrogate pair, which no terminal can encode, the replacement character.
    """
    return _CONTROLS.sub("", whole(text).replace("\r\n", "\n").replace("\r", "\n"))


def plain_to_html(text: str) -> str:
    """Show a text as it is, for one that is too long to render."""
    return f"<pre>{html.escape(to_plain(text))}</pre>"


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = is_web_address  # type: ignore[method-assign] # its way to set one
    # Before "escape", for which \( is a parenthesis.
    parser.inline.ruler.before("escape", "math", formulas.inline)
    parser.block.ruler.before(
        "fence", "math", formulas.block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.core.ruler.push("linked_images", _unlink_linked_images)
    parser.core.ruler.push("formulas", formulas.limit)
    for name, render in _RENDERERS.items():
        parser.add_render_rule(name, _one_token(render))
    return parser


# Made once: it takes longer than to clean a short answer.


@functools.cache
def _clean_ours() -> Callable[[str], str]:
    """What cleans HTML that was rendered here: some attributes may have some values."""
    from pygments.token import STANDARD_TYPES

    return cleaner(
        {
            "div": {
                "class": {"highlight"},
                "style": {_CODE_STYLE},
                "align": {"left", "center", "right"},
            },
            "span": {"class": {formulas.CLASS, *filter(None, STANDARD_TYPES.values())}},
        }
    )


@functools.cache
def _clean_theirs() -> Callable[[str], str]:
    """What cleans a model's own HTML."""
    return cleaner()


# Code, images and table cells, which markdown-it would render differently.


def _render_code(token: Token) -> str:
    language = re.sub(r"[^\w+#.-].*", "", token.info.strip(), flags=re.DOTALL).lower()
    code = _highlight(token.content, language) or html.escape(token.content)
    return f'<div class="highlight" style="{_CODE_STYLE}"><pre>{code}</pre></div>\n'


def _highlight(code: str, language: str) -> str | None:
    """Colour code with Pygments' short classes; None if that cannot be done."""
    try:
        return _highlighter(language)(code) if language in _languages() else None
    except Exception:  # noqa: BLE001 - code that one of 500 lexers fails on is shown without colours
        return None


@functools.cache
def _highlighter(language: str) -> Callable[[str], str]:
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False)
    return functools.partial(highlight, lexer=lexer, formatter=HtmlFormatter(nowrap=True))


@functools.cache
def _languages() -> frozenset[str]:
    """Names that Pygments itself knows; asking it for another searches every installed plugin."""
    from pygments.lexers import get_all_lexers

    return frozenset(alias for _, names, _, _ in get_all_lexers(plugins=False) for alias in names)


def _unlink_linked_images(state: StateCore) -> None:
    """An image inside a link is its description: a link cannot hold another."""
    for block in state.tokens:
        linked = False
        for token in block.children or ():
            if token.type in {"link_open", "link_close"}:
                linked = token.type == "link_open"
            elif token.type == "image" and linked:
                token.type = "text"


def _render_image(token: Token) -> str:
    address = html.escape(str(token.attrGet("src")))
    return f'<a href="{address}">{html.escape(token.content) or address}</a>'


def _render_cell_open(token: Token) -> str:
    style = str(token.attrGet("style") or "text-align:left")
    return f'<{token.tag}><div align="{style.removeprefix("text-align:")}">'


_RENDERERS: dict[str, Callable[[Token], str]] = {
    "code_block": _render_code,
    "fence": _render_code,
    "image": _render_image,
    "math_block": lambda token: f"<p>{formulas.render(token)}</p>\n",
    "math_inline": formulas.render,
    "td_close": lambda _token: "</div></td>\n",
    "td_open": _render_cell_open,
    "th_close": lambda _token: "</div></th>\n",
    "th_open": _render_cell_open,
}


def _one_token(render: Callable[[Token], str]) -> Callable[..., str]:
    """Make a render rule, to markdown-it a method over all tokens, of a function of one."""
    return lambda _renderer, tokens, idx, *_: render(tokens[idx])
