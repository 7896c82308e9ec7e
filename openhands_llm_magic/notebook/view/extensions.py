"""What models write beyond CommonMark, as rules of markdown-it.

GitHub's task lists, footnotes, alerts and bare addresses, emphasis in languages without blanks, and
the few tags of HTML that stand for something Markdown has no sign for. A tag is known by its name
alone: with any attribute it stays text, as all other HTML does, and of what a rule writes nothing
but its text is the model's.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


INLINE_TAGS = frozenset({
    "abbr", "b", "cite", "del", "dfn", "i", "ins", "kbd", "mark", "q", "samp", "small", "sub",
    "sup", "u", "var",
})  # fmt: skip
"""Tags of a few words, which are understood in pairs."""

MAX_TAGGED = 2_000
"""Characters between the two tags of a pair: looking for the second one must not take long."""

_TAG = re.compile(r"<(?P<name>[a-z]{1,5})>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--(?:[\w\s.,:;]|-(?!-))*-->")


def tags(state: StateInline, silent: bool) -> bool:
    """Find a line break, a pair of tags, or a comment of plain words: an inline rule."""
    found = _BREAK.match(state.src, state.pos) or _COMMENT.match(state.src, state.pos)
    if found:
        if not silent and found[0][1] != "!":
            state.push("hardbreak", "br", 0)
        state.pos = found.end()
        return True
    opening = _TAG.match(state.src, state.pos)
    name = opening["name"].lower() if opening else ""
    if not opening or name not in INLINE_TAGS:
        return False
    begin = opening.end()
    closing = _closing(name).search(state.src, begin, min(state.posMax, begin + MAX_TAGGED))
    if not closing:
        return False
    if not silent:
        all_of_it, state.pos, state.posMax = state.posMax, begin, closing.start()
        state.push("tag_open", name, 1)
        state.md.inline.tokenize(state)
        state.push("tag_close", name, -1)
        state.posMax = all_of_it
    state.pos = closing.end()
    return True


@functools.cache
def _closing(name: str) -> re.Pattern[str]:
    return re.compile(f"</{name}>", re.IGNORECASE)


_SCHEME = re.compile(r"(?<![A-Za-z0-9.+-])https?$", re.IGNORECASE)
# A host is ASCII, so that a Japanese sentence can go on behind it; a path may have other letters,
# and ends at punctuation that no address has in clear.
_REST = re.compile(
    r"://[A-Za-z0-9_.-]*[A-Za-z0-9](?::\d{1,5})?(?![:@]\w)"
    r"(?:[/?#](?:[!#$%&'()*+,./:;=?@~\[\]-]|\w)*)?"
)


def bare_address(state: StateInline, silent: bool) -> bool:
    """Find an address that stands in the text as it is: an inline rule, at its colon."""
    scheme = None
    if state.src.startswith("://", state.pos):
        scheme = _SCHEME.search(state.pending, max(0, len(state.pending) - len("https")))
    rest = _REST.match(state.src, state.pos, state.posMax) if scheme else None
    if scheme is None or rest is None or state.linkLevel > 0:
        return False
    behind = _without_the_sentence(rest[0])
    if not silent:
        state.pending = state.pending[: scheme.start()]
        address = scheme[0] + behind
        state.push("link_open", "a", 1).attrSet("href", state.md.normalizeLink(address))
        state.push("text", "", 0).content = address
        state.push("link_close", "a", -1)
    state.pos += len(behind)
    return True


def _without_the_sentence(address: str) -> str:
    """Return an address without the end of the sentence or of the brackets that it stands in."""
    while True:
        shorter = address.rstrip("?!.,:;*_~'")
        for opening, closing in ("()", "[]"):
            if shorter.endswith(closing) and shorter.count(closing) > shorter.count(opening):
                shorter = shorter[:-1]
        if shorter == address:
            return address
        address = shorter


WIDE = frozenset("WFH")
"""The East Asian widths of letters and signs that no blanks stand between."""


def wide_emphasis(state: StateInline, silent: bool) -> bool:
    """Find `*` and `~~` beside Japanese, Chinese or Korean: an inline rule.

    By CommonMark a mark between punctuation and a letter neither opens nor closes, as in
    `これは**「重要」**です`; other languages have a blank there. So beside a wide character a mark
    opens where no blank follows it, and closes where none is before it.
    """
    from markdown_it.rules_inline.state_inline import Delimiter  # noqa: PLC0415 - slow, see sanitize

    marker = state.src[state.pos]
    if silent or marker not in "*~":
        return False
    length = state.scanDelims(state.pos, True).length
    before = state.src[max(0, state.pos - 1) : state.pos] or " "
    after = state.src[state.pos + length : state.posMax][:1] or " "
    if (marker == "~" and length != len("~~")) or not {_width(before), _width(after)} & WIDE:
        return False
    mark = marker if marker == "*" else "~~"
    for _ in range(length // len(mark)):
        state.push("text", "", 0).content = mark
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=length if marker == "*" else 0,  # 0 is any length, as for `~~` elsewhere
                token=len(state.tokens) - 1,
                end=-1,
                open=not after.isspace(),
                close=not before.isspace(),
            )
        )
    state.pos += length
    return True


def _width(character: str) -> str:
    return unicodedata.east_asian_width(character)


_FOOTNOTE = re.compile(r"\[\^([\w.-]{1,40})\]")


def footnote(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Find a footnote, which is shown where it stands: a block rule."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    label = _FOOTNOTE.match(state.src, begin, state.eMarks[start_line])
    if not label or not state.src.startswith(":", label.end()) or state.is_code_block(start_line):
        return False
    if silent:
        return True
    last = start_line + 1
    while last < end_line and not state.isEmpty(last) and not _begins_footnote(state, last):
        last += 1
    state.env.setdefault("footnotes", set()).add(label[1])
    lines = state.getLines(start_line, last, state.blkIndent, False)
    text = lines.partition("]:")[2].strip()
    state.push("paragraph_open", "p", 1).map = [start_line, last]
    _push_inline(state, f"<sup>[{label[1]}]</sup> {text}", [start_line, last])
    state.push("paragraph_close", "p", -1)
    state.line = last
    return True


def _begins_footnote(state: StateBlock, line: int) -> bool:
    label = _FOOTNOTE.match(state.src, state.bMarks[line] + state.tShift[line], state.eMarks[line])
    return label is not None and state.src.startswith(":", label.end())


def footnote_mark(state: StateInline, silent: bool) -> bool:
    """Find the mark of a footnote that there is: an inline rule."""
    label = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not label or label[1] not in state.env.get("footnotes", ()):
        return False
    if not silent:
        state.push("tag_open", "sup", 1)
        state.push("text", "", 0).content = f"[{label[1]}]"
        state.push("tag_close", "sup", -1)
    state.pos = label.end()
    return True


_FOLD = re.compile(r"[ \t]*<details(?: +open)?>[ \t]*(?=\n|<summary>|$)", re.IGNORECASE)
_SUMMARY = re.compile(r"\s*<summary>(.*?)</summary>[ \t]*", re.IGNORECASE | re.DOTALL)
_FOLD_EDGE = re.compile(
    r"^(?P<code> {0,3}(?:```|~~~))|(?P<more><details\b)|(?P<less></details>)",
    re.IGNORECASE | re.MULTILINE,
)


DEEPEST_FOLD = 10
"""Folds within one another; each is parsed once more, so that a thousand would take minutes."""


def fold(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Find what a model has folded up, <details>, with its Markdown: a block rule.

    One that does not end goes to the end of what is around it.
    """
    begin = state.bMarks[start_line] + state.tShift[start_line]
    depth = state.env.get("fold_depth", 0)
    if depth == DEEPEST_FOLD or not _FOLD.match(state.src, begin):
        return False
    if state.is_code_block(start_line):
        return False
    if silent:
        return True
    last = start_line + 1
    while last < end_line and (state.isEmpty(last) or state.sCount[last] >= state.blkIndent):
        last += 1
    source = state.getLines(start_line, last, state.blkIndent, False)
    head = _FOLD.match(source)
    inner = head.end() if head else 0
    if summary := _SUMMARY.match(source, inner):
        inner = summary.end()
    close = _fold_end(source, inner)
    inner_end, fold_end = close or (len(source), len(source))
    opened = state.push("fold_open", "details", 1)
    opened.map = [start_line, start_line + source.count("\n", 0, fold_end) + 1]
    opened.meta["is_closed"] = close is not None
    if summary:
        state.push("summary_open", "summary", 1)
        _push_inline(state, " ".join(summary[1].split()), opened.map)
        state.push("summary_close", "summary", -1)
    state.env["fold_depth"] = depth + 1
    _push_blocks(state, source[inner:inner_end])
    state.env["fold_depth"] = depth
    state.push("fold_close", "details", -1)
    state.line = min(last, opened.map[1])
    return True


def _fold_end(source: str, begin: int) -> tuple[int, int] | None:
    """Find where a fold's content ends, and where its closing tag does; None if it has not one."""
    depth, in_code = 0, False
    for edge in _FOLD_EDGE.finditer(source, begin):
        if edge["code"]:
            in_code = not in_code
        elif not in_code:
            depth += 1 if edge["more"] else -1
            if depth < 0:
                is_last = not source[edge.end() :].partition("\n")[0].strip()
                return (edge.start(), edge.end()) if is_last else None
    return None


def _push_inline(state: StateBlock, text: str, lines: list[int]) -> None:
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = text, lines, []


def _push_blocks(state: StateBlock, text: str) -> None:
    """Parse Markdown into the middle of what is being parsed, one level below it."""
    tokens: list[Token] = []
    state.md.block.parse(text, state.md, state.env, tokens)
    for token in tokens:
        token.level += state.level
        state.tokens.append(token)


_ALERT = re.compile(r"\[!([A-Za-z]{1,20})\][+-]?[ \t]*([^\n]*)(?:\n|$)")
_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")


def lead_ins(state: StateCore) -> None:
    """Read what stands at the beginning of a quotation or of an item: a core rule.

    A quotation may be an alert, `> [!NOTE]`, and an item a task, `- [x] done`.
    """
    for before, paragraph, inline in zip(
        state.tokens, state.tokens[1:], state.tokens[2:], strict=False
    ):
        if paragraph.type != "paragraph_open":
            continue
        if before.type == "blockquote_open" and (alert := _ALERT.match(inline.content)):
            title = f"**{alert[2].strip() or alert[1].capitalize()}**"
            rest = inline.content[alert.end() :]
            inline.content = f"{title}\\\n{rest}" if rest else title
        if before.type == "list_item_open" and (task := _TASK.match(inline.content)):
            before.attrSet("style", TASK_STYLE)
            box = "☐" if task[1] == " " else "☑"
            inline.content = f"{box} {inline.content[task.end() :]}"


TASK_STYLE = "list-style-type: none"
"""Leaves out the bullet of an item that has a box."""


def directions(state: StateCore) -> None:
    """Let each block run in the direction of its own text, as Hebrew and Arabic do: a core rule.

    What is within a list, a quotation or a table goes with it, so that bullets and columns stand
    on the same side as the text.
    """
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")


def extend(parser: MarkdownIt) -> None:
    """Add all of these rules to a parser."""
    inline, block, core = parser.inline.ruler, parser.block.ruler, parser.core.ruler
    inline.after("text", "bare_address", bare_address)
    inline.before("strikethrough", "wide_emphasis", wide_emphasis)
    inline.before("link", "footnote_mark", footnote_mark)
    inline.after("autolink", "tags", tags)
    block.before("reference", "footnote", footnote, {"alt": ["paragraph", "reference"]})
    block.before(
        "html_block", "fold", fold, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    core.after("block", "lead_ins", lead_ins)
    core.push("directions", directions)
