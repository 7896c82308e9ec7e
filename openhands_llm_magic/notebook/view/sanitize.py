"""A model's Markdown made safe to show in a *trusted* notebook, with its mathematics.

JupyterLab runs what is in the Markdown or HTML output of a trusted notebook, so a model's text
reaches it as neither. It is rendered here with HTML off, cleaned against an allow-list, and shown
as text/html beside text/plain.

Three habits of JupyterLab (4.6) decide what the HTML looks like:

- MathJax looks for formulas in the whole output. The output is therefore ``mathjax_ignore``, except
  for each formula found here, alone in its own ``mathjax_process`` span: money never becomes
  mathematics. (``tex2jax_`` tells MathJax 2 the same, which nbconvert's HTML export loads.) The
  rules for what a formula is are those of MathJax 3 as JupyterLab sets it up, but stricter.
- Its style sheet aligns every cell of an HTML table right, over the cell's own ``align``. What is
  in a cell therefore stands in a ``<div align=…>``.
- It colours Pygments' short classes inside ``<div class="highlight">``, and leaves no space around
  that. Its HTML export has a fixed-width font for ``<pre><code>`` alone.
"""
# ruff: noqa: PLC0415 - the renderer takes 25 ms to import, and only an answer needs it

from __future__ import annotations

import contextlib
import functools
import html
import logging
import re
from contextvars import ContextVar
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from openhands_llm_magic.llm.conversations import whole
from openhands_llm_magic.notebook.view import extensions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


CLASS = "llm-math mathjax_process tex2jax_process"
"""The classes of an element that holds a formula."""

MAX_FORMULAS = 1_000
"""Formulas of an answer that are typeset: so many fractions take the browser 2 s, 4,000 some 10."""

_MAX_LENGTH = 5_000  # Characters; MathJax's own buffer holds no more.
_MAX_DEPTH = 10  # An \xrightarrow in another doubles the time; 140 arrays crash the browser's page.

_ENVIRONMENT = r"(?:align|array|cases|eqnarray|equation|gather|multline|split|[bpvBV]?matrix)"
BLOCK_OPENER = re.compile(rf"\$\$|\\\[|\\begin\{{{_ENVIRONMENT}\*?\}}")
"""What a formula in lines of its own begins with."""
_INLINE_OPENER = re.compile(r"(?<![A-Za-z$])\$(?![\s$])|\$\$|\\\(|(?<![0-9A-Za-z])\\\[")
# Pandoc's rule, by which "$5 or $6" and "$5-$6" are money, and for shell "$HOME/$USER", "${A}${B}".
_INLINE_DOLLAR_ENDS = re.compile(r"(?<!\s)\$(?![0-9_{]|[A-Z]{2})")

# What would reach beyond the formula, after the sources of MathJax: link, load, set styles, ids or
# any attribute, react to the mouse, define names or labels for the whole page. \unicode and
# \fcolorbox write a font and a colour into a style as they stand. The last three double the work at
# each level, or (\verb) hide braces from `_depth`.
_REACHES_OUT = re.compile(
    r"\\(?:href|url|html[A-Za-z]*|class|style|cssId|data|bbox|mmlToken|includegraphics|input"
    r"|toggle|endtoggle|mathtip|texttip|require|autoload|set[oO]ptions|mathtoolsset|usetagform"
    r"|[egx]?def|let|futurelet|global|(?:re)?new(?!line)[A-Za-z]+|provide[A-Za-z]+|Newextarrow"
    r"|Declare[A-Za-z]+|definecolor|minCDarrow[a-z]+|label|ref|eqref|refeq"
    r"|unicode|fcolorbox|(?:over|under)bracket|adjustlimits|verb)(?![A-Za-z])"
)
_LABEL = re.compile(r"\\label\s*\{[^{}]*\}")


@functools.cache
def _marks(opener: str, closer: str) -> re.Pattern[str]:
    """What matters between two delimiters; a backslash takes the next character with it."""
    return re.compile(rf"{re.escape(closer)}|{re.escape(opener)}|\\.|[{{}}`]", re.DOTALL)


def _math_end(source: str, opener: re.Match[str], stop: int) -> int:
    """Find where the formula after `opener` ends, as MathJax's FindTeX does but stricter.

    Any second delimiter or code span decides at once, so that a text full of openers stays linear.

    Returns:
        The index after the closing delimiter, or -1 if this is not a formula.
    """
    closer = opener[0].translate({ord("("): ")", ord("["): "]"}).replace(r"\begin", r"\end")
    begin, depth = opener.end(), 0
    for mark in _marks(opener[0], closer).finditer(source, begin, min(stop, begin + _MAX_LENGTH)):
        if mark[0] == closer and depth == 0 and source[begin : mark.start()].strip():
            return mark.end()
        if mark[0] in {closer, opener[0], "`"}:
            return -1
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
    return -1


_is_stopped: ContextVar[Callable[[], bool]] = ContextVar("is_stopped", default=lambda: False)


@contextlib.contextmanager
def breakable(is_stopped: Callable[[], bool]) -> Iterator[None]:
    """Let rendering be broken off, by a look at each line and each mark of the Markdown.

    An exception of a signal's could be swallowed by a finalizer, which Python then prints.

    Raises:
        KeyboardInterrupt: `is_stopped` has told so, before or meanwhile.
    """
    token = _is_stopped.set(is_stopped)
    try:
        _look()
        yield
    finally:
        _is_stopped.reset(token)


def _look() -> None:
    if _is_stopped.get()():
        raise KeyboardInterrupt


def inline(state: StateInline, silent: bool) -> bool:
    """Find a formula in a line: a rule of markdown-it's inline parser."""
    _look()
    opener = _INLINE_OPENER.match(state.src, state.pos)
    end = _math_end(state.src, opener, state.posMax) if opener else -1
    if not opener or end < 0:
        return False
    if opener[0] == "$" and not _INLINE_DOLLAR_ENDS.match(state.src, end - 1):
        return False
    if not silent:
        state.push("math_inline", "span", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Find a formula in lines of its own: a rule of markdown-it's block parser."""
    _look()
    begin = state.bMarks[start_line] + state.tShift[start_line]
    opener = BLOCK_OPENER.match(state.src, begin, state.eMarks[start_line])
    if not opener or state.is_code_block(start_line):
        return False
    end = _math_end(state.src, opener, len(state.src))
    if end < 0:
        return False
    last = start_line + state.src.count("\n", begin, end)
    if last >= end_line or state.src[end : state.eMarks[last]].strip():
        return False
    for line in range(start_line + 1, last + 1):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
    if not silent:
        token = state.push("math_block", "p", 0)
        token.content = state.getLines(start_line, last + 1, state.blkIndent, False).strip()
        token.map = [start_line, last + 1]
        state.line = last + 1
    return True


def limit(state: StateCore) -> None:
    """Leave formulas beyond `MAX_FORMULAS` of an answer as code: a core rule of markdown-it."""
    tokens = (each for block in state.tokens for each in (block, *(block.children or ())))
    found = (each for each in tokens if each.type in ("math_block", "math_inline"))
    for token in islice(found, max(0, MAX_FORMULAS - state.env.get("formulas", 0)), None):
        token.type = "fence" if token.type == "math_block" else "code_inline"
        token.tag = "code"


def render(token: Token) -> str:
    """Write a formula for MathJax, or as code if it reaches out or is nested too deeply."""
    formula = _LABEL.sub("", token.content)
    if _REACHES_OUT.search(formula) or _depth(formula) > _MAX_DEPTH:
        return f"<code>{html.escape(formula)}</code>"
    return f'<span class="{CLASS}">{html.escape(formula)}</span>'


_NESTING = re.compile(
    r"(?P<more>\{|\\begin|\\left(?![A-Za-z]))|(?P<less>\}|\\end|\\right(?![A-Za-z]))|%.*|\\."
)


def _depth(formula: str) -> int:
    """Count how many groups are open at most."""
    depths = accumulate(
        {"more": 1, "less": -1}.get(mark.lastgroup or "", 0) for mark in _NESTING.finditer(formula)
    )
    return max(depths, default=0)


MAX_RENDERED = 100_000
"""Longest text, in characters, that is rendered; a longer one is shown as it is."""

# Two shapes on which markdown-it takes quadratic time: so many brackets 0.5 s, this depth 2 s.
_MAX_BRACKETS = 20_000
_DEEP_QUOTE = re.compile(r"^(?:[ \t\d*+.)-]*>){10}", re.MULTILINE)
_MAX_NESTING = 100  # Levels, where markdown-it starts to drop text. (CommonMark's preset: 20.)

IN_ITEM = 2
"""The level of markdown-it's tokens directly within the items of a list."""

_CODE_STYLE = "margin: 1em 0"
_PRE = '<pre dir="auto">'
CLASS_OF_ANSWER = "llm-reply"
"""The class of an element that holds an answer."""

_IGNORE_MATH = f"{CLASS_OF_ANSWER} mathjax_ignore tex2jax_ignore"


def to_html(markdown: str) -> str:
    """Render a model's Markdown as HTML that neither runs, nor loads, nor navigates by itself.

    CommonMark with tables, strikethrough, mathematics and `extensions`. Other HTML is shown as
    text, an image becomes a link, a link leads to http, https or mailto only and opens a new tab.

    Returns:
        One ``<div class="llm-reply …">``, or what `plain_to_html` makes of a text that is longer
        than `MAX_RENDERED`, nested too deeply, or of a shape that would take seconds.
    """
    rendered = blocks_html(to_plain(markdown), {})
    return rendered if rendered.startswith(_PRE) else framed(rendered)


def framed(rendered: str, margin: str = "") -> str:
    """Put what `blocks_html` rendered into the element that MathJax looks for formulas in.

    Args:
        rendered: The HTML.
        margin: Its CSS margin, where it is not what the front end gives it.
    """
    style = f' style="margin:{margin}"' if margin else ""
    return f'<div class="{_IGNORE_MATH}"{style}>{rendered}</div>'


class RestOfList(NamedTuple):
    """A list that goes on with one begun above it.

    Attributes:
        first: The number of its first item.
        is_loose: Whether there is space between its items.
    """

    first: int
    is_loose: bool


def blocks_html(
    text: str, known: dict[str, Any], *, is_growing: bool = False, rest: RestOfList | None = None
) -> str:
    """Render some blocks of a text that `to_plain` has passed, as a part of an answer.

    Args:
        text: The Markdown.
        known: What is known from the blocks above: the link "references", the "footnotes", and how
            many "formulas" there are. It is changed.
        is_growing: Whether more of it will come. Then code has no colours, which make it up to four
            times as long; and what is folded up and does not end yet is left so.
        rest: For a text that begins with a list that goes on.
    """
    if _is_too_much(text):
        return plain_to_html(text)
    parser = _parser()
    try:
        tokens = parser.parse(text, known)
    except RecursionError:
        return plain_to_html(text)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return plain_to_html(text)
    for token in tokens:
        if is_growing:
            token.info = ""  # the language of a code block
        elif token.type == "fold_open" and not token.meta["is_closed"]:
            token.attrSet("open", "")
    if rest:
        _go_on(tokens, rest)
    return str(_clean_ours()(parser.renderer.render(tokens, parser.options, {})))


def _is_too_much(text: str) -> bool:
    too_long = len(text) > MAX_RENDERED or text.count("[") > _MAX_BRACKETS
    return too_long or _DEEP_QUOTE.search(text) is not None


def blocks(text: str, known: dict[str, Any]) -> list[Token]:
    """Find the blocks of a text without a look into its lines; `known` learns its references.

    Returns:
        markdown-it's tokens, or an empty list for a text that is shown as it is.
    """
    found: list[Token] = []
    if not _is_too_much(text):
        with contextlib.suppress(RecursionError):
            _parser().block.parse(text, _parser(), known, found)
    return found


def _go_on(tokens: list[Token], rest: RestOfList) -> None:
    """Make the list with which tokens begin the rest of another list."""
    if tokens[0].type == "ordered_list_open" and rest.first != 1:
        tokens[0].attrSet("start", rest.first)
    for token in tokens:
        if token.level == 0 and token.nesting < 0:
            return
        if token.level == IN_ITEM and token.type in {"paragraph_open", "paragraph_close"}:
            token.hidden = not rest.is_loose


def html_to_html(text: str) -> str:
    """Clean a model's own HTML: what runs, loads, navigates or has a style is taken out.

    Nothing in it is mathematics, and it has no classes, which could make it look like ours.
    """
    if len(text) > MAX_RENDERED:
        return plain_to_html(text)
    return f'<div class="{_IGNORE_MATH}" dir="auto">{_clean_theirs()(to_plain(text))}</div>'


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def to_plain(text: str) -> str:
    """Return a model's text without what a terminal would obey, for text/plain and terminals.

    Removes the C0 and C1 controls (ESC, BEL, backspace…), the characters that reorder text (those
    of CVE-2021-42574), and byte order marks, which some parsers drop. Newline and tab stay; a
    carriage return becomes a newline, half a surrogate pair, which no terminal can encode, the
    replacement character.
    """
    return _CONTROLS.sub("", whole(text).replace("\r\n", "\n").replace("\r", "\n"))


def folded_html(summary: str, markdown: str) -> str:
    """Render Markdown that is folded up below a summary; "" for an empty one."""
    if not markdown.strip():
        return ""
    return f"<details><summary>{html.escape(summary)}</summary>{to_html(markdown)}</details>"


def plain_to_html(text: str) -> str:
    """Show a text as it is, for one that is too long to render."""
    return f"{_PRE}<code>{html.escape(to_plain(text))}</code></pre>"


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # It tells each step at DEBUG: whoever asks for that of all loggers does not mean an answer.
    log = logging.getLogger("markdown_it")
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = is_web_address  # type: ignore[method-assign] # its way to set one
    # Before "escape", for which \( is a parenthesis.
    parser.inline.ruler.before("escape", "math", inline)
    parser.block.ruler.before(
        "fence", "math", block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.core.ruler.push("linked_images", _unlink_linked_images)
    parser.core.ruler.push("formulas", limit)
    extensions.extend(parser)
    for name, render in _RENDERERS.items():
        parser.add_render_rule(name, _one_token(render))
    return parser


# Made once: it takes longer than to clean a short answer.


@functools.cache
def _clean_ours() -> Callable[[str], str]:
    """What cleans HTML that was rendered here: some attributes may have some values."""
    from pygments.token import STANDARD_TYPES

    alignments = {"left", "center", "right"}
    styles = {_CODE_STYLE, _CELL_STYLE}
    return cleaner(
        {
            **{tag: {"dir": {"auto"}} for tag in (*_BLOCKS, "table")},
            "details": {"dir": {"auto"}, "open": {""}},
            "div": {"class": {"highlight"}, "style": styles, "align": alignments, "dir": {"ltr"}},
            "li": {"style": {extensions.TASK_STYLE}},
            "span": {"class": {CLASS, *filter(None, STANDARD_TYPES.values())}},
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
    frame = f'<div class="highlight" style="{_CODE_STYLE}" dir="ltr">'
    return f"{frame}<pre><code>{code}</code></pre></div>\n"


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


_CELL_STYLE = "text-align: start"


def _render_cell_open(token: Token) -> str:
    style = token.attrGet("style")
    aligned = f'style="{_CELL_STYLE}"'
    if style:
        aligned = f'align="{str(style).removeprefix("text-align:")}"'
    return f"<{token.tag}><div {aligned}>"


_RENDERERS: dict[str, Callable[[Token], str]] = {
    "code_block": _render_code,
    "fence": _render_code,
    "image": _render_image,
    "math_block": lambda token: f"<p>{render(token)}</p>\n",
    "math_inline": render,
    "td_close": lambda _token: "</div></td>\n",
    "td_open": _render_cell_open,
    "th_close": lambda _token: "</div></th>\n",
    "th_open": _render_cell_open,
}


def _one_token(render: Callable[[Token], str]) -> Callable[..., str]:
    """Make a render rule, to markdown-it a method over all tokens, of a function of one."""
    return lambda _renderer, tokens, idx, *_: render(tokens[idx])


_BLOCKS = {"blockquote", "details", "div", "hr", "li", "ol", "p", "pre", "summary", "ul"}
_BLOCKS |= {f"h{level}" for level in range(1, 7)}
_INLINES = {"a", "br", "code", "em", "s", "span", "strong", *extensions.INLINE_TAGS}
_TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "*": set[str]()}  # nh3's own "*" allows title.


def cleaner(values: Mapping[str, Mapping[str, set[str]]] | None = None) -> Callable[[str], str]:
    """Make what takes out of HTML all that could run, load, navigate or change how a page looks.

    Args:
        values: The classes and alignments that are allowed, by tag and attribute.
    """
    import nh3

    return nh3.Cleaner(
        tags=_BLOCKS | _INLINES | _TABLES,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda _tag, name, value: (
            value if name != "href" or is_web_address(value) else None
        ),
        tag_attribute_values={tag: dict(found) for tag, found in (values or {}).items()},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer",
        url_schemes={"http", "https", "mailto"},
    ).clean


def is_web_address(url: str) -> bool:
    """A relative link counts as none: JupyterLab would open a file or call its own server."""
    return re.match(r"(?:https?://|mailto:)\S", url, re.IGNORECASE) is not None
