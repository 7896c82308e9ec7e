"""An answer cut into parts while it grows.

A part ends where one block of Markdown ends and another begins; a code block or a list that is
longer than a part goes on in the next. A part's text is its slice of the answer, and the parts
below each other look like the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.conversations import Characters
from openhands_llm_magic.notebook.view import sanitize
from openhands_llm_magic.notebook.view.sanitize import IN_ITEM, RestOfList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token


Breakable = Callable[[], AbstractContextManager[None]]
"""Makes a context in which an interrupt is raised; else it is only counted."""

LEAST = 4_000
"""Characters of a part before it may end."""

SHARE = 6
"""Of a long answer, a part holds so much that there are some 30 of a megabyte."""

MARKDOWN = frozenset({"markdown", "code"})
"""The formats of which parts are shown as in the end. Text is too, and others when complete."""

_SPACE_ABOVE = ("<ul", "<ol", "<blockquote", "<div", "<hr", f'<p><span class="{sanitize.CLASS}"')
"""Elements whose space above is not added to that below the element before, but the same space.

It would be added between two outputs.
"""

_GAPS = [re.compile(gap) for gap in (r"\n\n(?=\S)", r"\n(?=\S)", r"\n(?=.)")]
"""Where code is cut: above a line that begins something, or is not indented, or is not empty."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one output shows of an answer.

    Attributes:
        text: Its slice of the answer.
        html: The same, rendered.
    """

    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Markdown that no further line can change.

    Attributes:
        text: Its slice of the answer.
        html: The same, rendered.
        fence: The line that opens the code block that it goes on with.
        rest: Tells of the list that it goes on with.
        is_cut: Whether the next block goes on with it, without space between them.
    """

    text: str
    html: str
    fence: str = ""
    rest: RestOfList | None = None
    is_cut: bool = False

    @property
    def is_heading(self) -> bool:
        """Whether it is a heading, which belongs to what follows."""
        return re.match(r"<h\d", self.html) is not None


class Parts:
    """Cuts an answer into parts, and renders each.

    Args:
        form: The format of the answer.
        before: Characters that the cell has shown of other answers.
        breakable: Makes a context in which it renders; nothing is changed where that is left.
        is_one: Whether it stays one part, however long it grows.

    Attributes:
        longest: Characters at once that are rendered; more are shown as they are.
    """

    def __init__(
        self,
        form: str,
        before: int = 0,
        breakable: Breakable = nullcontext,
        *,
        is_one: bool = False,
    ) -> None:
        self._breakable = breakable
        self.longest = sanitize.MAX_RENDERED
        self._is_markdown = form in MARKDOWN or form == "math"
        self._ends = form in MARKDOWN or form == "text"
        self._is_one = is_one
        self._characters = Characters()
        self._return = ""
        self._shown_before = before
        self._blocks: list[_Block] = []
        self._open = ""  # after the blocks
        self._fence = ""  # above it
        self._rest: RestOfList | None = None
        self._looked_to = 0
        self._known: dict[str, Any] = {"references": {}, "footnotes": set(), "formulas": 0}
        self._sealed: list[list[_Block]] = []
        self.text = ""

    @property
    def is_long(self) -> bool:
        """Whether a part has ended, or would have: it is not rendered as a whole once more."""
        return bool(self._sealed) or (self._is_one and self._ends and len(self.text) > LEAST)

    def add(self, text: str) -> None:
        """Take in the next piece of the answer."""
        self.text += text
        text = self._return + self._characters.feed(text)
        self._return = "\r" if text.endswith("\r") else ""  # a newline may belong to it
        self._open += sanitize.to_plain(text.removesuffix(self._return))

    def flush(self) -> None:
        """Take in what was held back, at the answer's end."""
        self._open += sanitize.to_plain(self._return + self._characters.flush())
        self._return = ""

    def ended(self) -> Iterator[Part]:
        """Yield the parts that have ended, and leave only the one that grows."""
        self._close_blocks()
        while count := self._end():
            ending, self._blocks = self._blocks[:count], self._blocks[count:]
            yield self._part(ending)
            self._sealed.append(ending)

    def growing(self, *, is_last: bool = False) -> Part:
        """Render the part that grows; the block that grows has its colours only in the end."""
        known = {name: copy(value) for name, value in self._known.items()}
        rendered = self._html(self._open, known, self._fence, self._rest, is_growing=not is_last)
        if is_last:
            self._known = known
            self._blocks = self._linked(self._blocks)
        block = _Block(self._open, rendered, self._fence, self._rest)
        return self._part([*self._blocks, *([block] if self._open else [])])

    @property
    def rest(self) -> str:
        """The text below the parts that have ended."""
        return "".join(block.text for block in self._blocks) + self._open

    def linked(self) -> Iterator[Part | None]:
        """Render the parts that have ended once more, where a link's address came below it.

        Yields:
            The part, or None if it stays as it is.
        """
        for number, part in enumerate(self._sealed):
            again = self._linked(part)
            yield self._part(again, is_first=number == 0) if again != part else None

    def _linked(self, blocks: list[_Block]) -> list[_Block]:
        """Render blocks once more that may name a link or a footnote."""
        is_named = self._known["references"] or self._known["footnotes"]
        return [
            replace(each, html=self._html(each.text, self._known, each.fence, each.rest))
            if "[" in each.text and is_named
            else each
            for each in blocks
        ]

    def _part(self, blocks: list[_Block], *, is_first: bool | None = None) -> Part:
        if not blocks:
            return Part("", "")
        html = "".join(block.html for block in blocks)
        is_first = not self._sealed if is_first is None else is_first
        above = "-1em" if html.startswith(_SPACE_ABOVE) and not is_first else "0"
        below = "-1em" if blocks and blocks[-1].is_cut else "0"
        margin = f"{above} 0 {below}"
        if self._is_markdown:
            html = sanitize.framed(html, "" if margin == "0 0 0" else margin)
        elif blocks and blocks[-1].is_cut:
            html = html.replace("<pre ", '<pre style="margin:0" ', 1)
        return Part("".join(block.text for block in blocks), html)

    def _html(
        self,
        text: str,
        known: dict[str, Any],
        fence: str,
        rest: RestOfList | None,
        *,
        is_growing: bool = False,
    ) -> str:
        if not self._is_markdown or len(text) > self.longest:
            return sanitize.plain_to_html(text)
        with self._breakable():
            return sanitize.blocks_html(fence + text, known, is_growing=is_growing, rest=rest)

    def _end(self) -> int:
        """Tell how many blocks the next part has; 0 while it may grow."""
        arrived = self._shown_before + len(self.text)
        most = max(LEAST, arrived // SHARE)
        size = sum(len(block.text) for block in self._blocks)
        if self._is_one or not self._ends or size + len(self._open) <= most:
            return 0
        return self._seam(most) or (self._cut_open() and self._seam(most))

    def _seam(self, most: int) -> int:
        """Tell after how many blocks a part ends that is about as long as it may be."""
        size = best = 0
        for count, block in enumerate(self._blocks, start=1):
            size += len(block.text)
            if size > most and best:
                break
            if size >= most / 2 and not block.is_heading:
                best = count
        return best

    def _take(self, end: int, *, is_cut: bool = False, rest: RestOfList | None = None) -> None:
        """Make a block of the first characters of what is open."""
        text, rest = self._open[:end], rest or self._rest
        html = self._html(text, self._known, self._fence, rest)
        self._known["formulas"] += html.count(sanitize.CLASS)
        self._blocks.append(_Block(text, html, self._fence, rest, is_cut))
        self._open = self._open[end:]
        self._looked_to = max(0, self._looked_to - end)
        self._fence, self._rest = "", None

    def _lines(self) -> tuple[list[Token], list[int]]:
        """Find the blocks in the complete lines of what is open, and where its lines begin."""
        complete = self._open[: self._open.rfind("\n") + 1]
        begins = [0, *(found.end() for found in re.finditer("\n", complete))]
        if self._fence:
            begins.insert(0, 0)
        return sanitize.blocks(self._fence + complete, self._known), begins

    def _close_blocks(self) -> None:
        """Take the blocks that no further line can change."""
        newest = self._open.rfind("\n") + 1
        if not self._is_markdown or newest <= self._looked_to:
            return
        tokens, begins = self._lines()
        starts = [begins[at.map[0]] for at in tokens if at.level == 0 and at.map]
        starts = [start for start in starts[1:] if self._is_apart(start)]
        taken = 0
        for start in starts:
            self._take(start - taken)
            taken = start
        self._looked_to = newest - taken

    def _is_apart(self, start: int) -> bool:
        """Tell whether a block begins here whatever follows: formulas have no empty lines."""
        return not sanitize.BLOCK_OPENER.search(self._open[:start].rpartition("\n\n")[2])

    def _cut_open(self) -> bool:
        """Cut the block that grows, if it is code, a list, or plain lines; tell whether it was."""
        newest = self._open.rfind("\n") + 1
        if not self._is_markdown:
            if newest:
                self._take(newest, is_cut=True)
            return newest > 0
        tokens, begins = self._lines()
        if sum(token.level == 0 and token.map is not None for token in tokens) != 1:
            return False
        if tokens[0].type == "fence":
            return self._cut_code(tokens[0], newest)
        if tokens[0].type in {"bullet_list_open", "ordered_list_open"}:
            return self._cut_list(tokens, begins)
        return False

    def _cut_code(self, code: Token, newest: int) -> bool:
        """Cut a code block, before a line that is not indented if there is one nearby."""
        fence = self._fence or self._open[: self._open.index("\n") + 1]
        first, end = code.map or (0, 0)
        is_closed = end - first - 1 > code.content.count("\n")
        start = 0 if self._fence else len(fence)
        for gap in () if is_closed else _GAPS:
            if found := list(gap.finditer(self._open, start, newest)):
                break
        else:
            return False
        self._take(found[-1].end(), is_cut=True)
        self._fence = fence
        return True

    def _cut_list(self, tokens: list[Token], begins: list[int]) -> bool:
        """Cut a list before its last item."""
        items = [at for at in tokens if at.level == 1 and at.type == "list_item_open" and at.map]
        if len(items) <= 1:
            return False
        cut = begins[items[-1].map[0]]  # type: ignore[index] # each has one
        if not self._is_apart(cut):
            return False
        paragraphs = (at for at in tokens if at.level == IN_ITEM and at.type == "paragraph_open")
        is_loose = any(not each.hidden for each in paragraphs)
        start = tokens[0].attrGet("start")
        first, is_loose = self._rest or (1 if start is None else int(start), is_loose)
        self._take(cut, is_cut=not is_loose, rest=RestOfList(first, is_loose))
        self._rest = RestOfList(first + len(items) - 1, is_loose)
        return True
