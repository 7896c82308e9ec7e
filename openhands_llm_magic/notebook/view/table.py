"""Tables, as aligned text and as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_text(headings: Sequence[str], rows: Sequence[Sequence[str]], aligned: str = "") -> str:
    """Write a table as aligned text.

    Args:
        headings: The first row.
        rows: Those below it.
        aligned: A letter for each column, "l" or "r"; by default all stand left.
    """
    all_rows = [headings, *rows]
    widths = [max(map(_width, column)) for column in zip(*all_rows, strict=True)]
    sides = aligned or "l" * len(widths)
    return "\n".join(
        "  ".join(
            _padded(cell, width, side) for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in all_rows
    )


def columns_in_turn(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write the columns of a table below each other, each beside the first and below its heading.

    A heading may be longer than what stands below it, and takes no room from that.
    """
    blocks = []
    for at, heading in enumerate(headings[1:], 1):
        first, *others = ([row[0], row[at]] for row in rows)
        blocks.append(f"{heading}\n{as_text(first, others)}")
    return "\n\n".join(blocks)


def width_of(text: str) -> int:
    """Return the columns of a terminal that the longest line of a text takes."""
    return max(map(_width, text.split("\n")))


def _padded(cell: str, width: int, side: str) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if side == "r" else cell + blanks


def _width(text: str) -> int:
    """Return the columns of a terminal that a text takes: a Japanese letter takes two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def as_html(headings: Sequence[str], rows: Sequence[Sequence[str]], aligned: str = "") -> str:
    """Write a table as HTML, which a notebook styles as its own.

    The arguments are those of `as_text`; by default the notebook aligns the columns.
    """
    head = _row("th", headings, aligned)
    body = "".join(_row("td", row, aligned) for row in rows)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Sequence[str], aligned: str) -> str:
    sides = {"l": ' style="text-align:left"', "r": ' style="text-align:right"'}
    styles = [sides[side] for side in aligned] or [""] * len(cells)
    written = (
        f"<{tag}{style}>{html.escape(cell)}</{tag}>"
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
